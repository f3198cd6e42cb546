"""The documentation: every link leads somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_comparison_in_the_readme() -> None:
    """How many lines are right in both is what docs/comparison.md, which a test writes, comes to."""
    page = (ROOT / "docs/comparison.md").read_text(encoding="utf-8")
    compared = int(re.findall(r"(\d+) lines of", page.replace("\n", " "))[0])
    wrong_in_lxcfs = len(re.findall(r"(?m)^\| `", page))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"| all {compared} that are compared | {compared - wrong_in_lxcfs}; " in readme


def test_the_site_builds(tmp_path: Path) -> None:
    """Pages, links between them and anchors are in order; mkdocs' warnings are errors."""
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    found = subprocess.run(words, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert (tmp_path / "site/index.html").exists()
