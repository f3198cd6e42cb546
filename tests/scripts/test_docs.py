"""The documentation: every link leads somewhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_the_site_builds(tmp_path: Path) -> None:
    """Pages, links between them and anchors are in order; mkdocs' warnings are errors."""
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    found = subprocess.run(words, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert (tmp_path / "site/index.html").exists()
