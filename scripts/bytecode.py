"""Compile our packages, as an installation does, also where ``PYTHONDONTWRITEBYTECODE`` keeps programs from doing so.

Compiling takes a program that is started from a checkout longer than everything else until its first answer.
"""

from __future__ import annotations

import compileall
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
PACKAGES: Final = ("cgroup_model", "cgscope", "ctop", "exporters", "procfs_fuse")


def compile_packages(root: Path = ROOT) -> None:
    """Write what is missing or out of date; where nothing may be written programs only start more slowly."""
    for package in PACKAGES:
        compileall.compile_dir(root / package, quiet=2)
