"""Write ``dashboards/grafana/*.json`` (`make dashboards`).

``python -m dashboards --runbooks https://wiki.example/runbooks/ --folder /tmp/x`` makes them with links to runbooks.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

from dashboards.boards import BOARDS
from dashboards.builder import RUNBOOKS, to_json

FOLDER: Final = Path(__file__).parent / "grafana"


def main() -> int:
    """Write all dashboards, and remove those that there are no more."""
    parser = argparse.ArgumentParser(prog="python -m dashboards", description="write Grafana dashboards")
    parser.add_argument("--folder", type=Path, default=FOLDER, metavar="DIR", help="default: dashboards/grafana")
    parser.add_argument("--runbooks", default=RUNBOOKS, metavar="URL", help="where runbooks are: makes links to them")
    options = parser.parse_args()
    folder: Path = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    written = {folder / f"{board.uid}.json": to_json(board, options.runbooks) for board in BOARDS}
    for path in set(folder.glob("*.json")) - written.keys():
        path.unlink()
    for path, text in written.items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
