"""Small C programs: what is measured must not be the measuring."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final, NamedTuple

HERE: Final = Path(__file__).parent


class Programs(NamedTuple):
    """Where each compiled program is; see the head of its source."""

    reader: str
    floor: str
    poller: str
    threads: str
    sweep: str
    mounts: str


def build(folder: str) -> Programs:
    """Compile them into a folder; raises CalledProcessError, and OSError without a compiler."""
    for name in Programs._fields:
        source, target = str(HERE / f"{name}.c"), f"{folder}/{name}"
        subprocess.run(["cc", "-O2", "-static", "-pthread", "-o", target, source], check=True)
    return Programs(*(f"{folder}/{name}" for name in Programs._fields))
