"""The sources as they are in a fresh clone: the last commit's, and nothing that was built."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

from tests.integration.command_line import REPOSITORY


def copy_sources(folder: Path) -> Path:
    """Copy them into a new folder."""
    place = shlex.quote(str(folder))
    take = f"mkdir {place} && git archive HEAD | tar -xf - -C {place}"
    subprocess.run(["sh", "-ec", take], cwd=REPOSITORY, check=True)
    return folder
