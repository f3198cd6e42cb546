"""Where scenes are."""

from __future__ import annotations

from pathlib import Path
from typing import Final

FIXTURES: Final = Path(__file__).resolve().parents[1] / "fixtures"
FILES: Final = "machine.txt"
DESCRIPTION: Final = "SCENE.md"


def names() -> list[str]:
    """Return the recorded scenes, sorted."""
    return sorted(path.parent.name for path in FIXTURES.glob(f"*/{FILES}"))
