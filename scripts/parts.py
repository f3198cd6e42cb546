"""What the suite consists of: runs of pytest, each in one cgroup world, and how each is started."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
PURE_WORLDS: Final = ("v2", "v1")
WORLDS: Final = (*PURE_WORLDS, "hybrid")

READING: Final = tuple(
    f"tests/integration/test_{name}.py" for name in ("dialects", "mounts", "collect", "control", "limits", "oom")
)
"""What reads and writes control files: all that can differ between a hybrid machine and one with v1 alone."""

ENGINES: Final = "tests/integration/engines"
"""Daemons of container engines, which are waited for most of the time."""

GUEST: Final = (sys.executable, "tests/guest/run.py")
GUEST_SECONDS: Final = 3600
"""A guest that hangs ends after this long."""


@dataclass(frozen=True, slots=True)
class Part:
    """One run of pytest: which tests, and in which world."""

    suite: str
    world: str
    tests: tuple[str, ...]
    guest: bool = False

    def __str__(self) -> str:
        """Return it as the output names it."""
        return f"{self.suite}, {self.world}"


def parts(native: str, *, every_world: bool) -> Iterator[Part]:
    """Yield what is to be run on a machine of the world ``native``."""
    here = "native " + native
    yield Part("unit", here, ("tests", "--ignore=tests/integration"))
    yield Part("integration", here, ("tests/integration", f"--ignore={ENGINES}"))
    yield Part("engines", here, (ENGINES,))
    for world in WORLDS:
        if every_world or (world in PURE_WORLDS and world != native):
            # A hybrid machine keeps its controllers on v1, so that everything else has been seen there.
            seen = (native, world) == ("hybrid", "v1") and not every_world
            yield Part("integration", "guest " + world, READING if seen else ("tests/integration",), guest=True)


def command(part: Part, options: Sequence[str], folder: str) -> list[str]:
    """Return the command line of one part; its report goes to ``folder``."""
    pytest = [sys.executable, "-m", "pytest", *part.tests, *options, f"--junitxml={folder}/report.xml"]
    pytest += ["-o", "junit_family=xunit1"]  # the other one does not name files
    pytest += ["-p", "no:cacheprovider"]  # parts would overwrite one another's
    pytest += ["--durations=5", "--durations-min=5"]
    if not part.guest:
        return pytest
    world = part.world.removeprefix("guest ")
    # Swap and a disk, because a guest starts with neither and some views are about them.
    machine = ["--cgroup", world, "--swap", "256M", "--disk", "256M", "--rw", folder, "--timeout", str(GUEST_SECONDS)]
    return [*GUEST, "-v", *machine, "--", *pytest]
