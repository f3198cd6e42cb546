"""Run the whole test suite (`make test`): on this machine and in guests of other cgroup worlds; sum up in a table.

Unit, property, golden and architecture tests do not depend on the world and run once. `tests/integration` runs against
this machine's kernel and, in a guest, against each world (cgroup v1, v2) that this machine has not.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cgroup_model.mounts import discover_mounts
from scripts.debian_tools import TOOLS, DebianTools, FetchError, Unavailable

ROOT: Final = Path(__file__).resolve().parents[1]
PURE_WORLDS: Final = ("v2", "v1")
WORLDS: Final = (*PURE_WORLDS, "hybrid")

GUEST_SECONDS: Final = 900
"""A guest that hangs ends after this long."""

GUEST: Final = (sys.executable, "tests/guest/run.py")
NO_GUEST: Final = 125
"""Its exit code when there is no guest to be had."""


@dataclass(frozen=True, slots=True)
class Part:
    """One run of pytest: which tests, and in which world."""

    suite: str
    world: str
    tests: tuple[str, ...]
    guest: bool = False


@dataclass(slots=True)
class Outcome:
    """What one run of pytest did; ``skips`` counts reasons."""

    part: Part
    exit_code: int
    seconds: float
    counts: Counter[str] = field(default_factory=Counter)
    skips: Counter[str] = field(default_factory=Counter)


def parts(native: str, *, every_world: bool) -> Iterator[Part]:
    """Yield what is to be run on a machine of the world ``native``."""
    here = "native " + native
    yield Part("unit", here, ("tests", "--ignore=tests/integration"))
    yield Part("integration", here, ("tests/integration",))
    for world in WORLDS:
        if every_world or (world in PURE_WORLDS and world != native):
            yield Part("integration", "guest " + world, ("tests/integration",), guest=True)


def command(part: Part, options: Sequence[str], folder: str) -> list[str]:
    """Return the command line of one part; its report goes to ``folder``."""
    pytest = [sys.executable, "-m", "pytest", *part.tests, *options, f"--junitxml={folder}/report.xml"]
    pytest += ["-p", "no:cacheprovider"]  # parts would overwrite one another's
    pytest += ["--durations=5", "--durations-min=5"]
    if not part.guest:
        return pytest
    world = part.world.removeprefix("guest ")
    # Swap and a disk, because a guest starts with neither and some views are about them.
    machine = ["--cgroup", world, "--swap", "256M", "--disk", "256M", "--rw", folder, "--timeout", str(GUEST_SECONDS)]
    return [*GUEST, "-v", *machine, "--", *pytest]


def run(part: Part, options: Sequence[str]) -> Outcome:
    """Run pytest for one part, its output passing through."""
    print(f"\n### {part.suite}, {part.world}", flush=True)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="cgscope-suite-") as folder:
        exit_code = subprocess.run(command(part, options, folder), cwd=ROOT, check=False).returncode
        outcome = Outcome(part, exit_code, time.monotonic() - started)
        if part.guest and exit_code == NO_GUEST and guest_is_optional():
            outcome.exit_code = 0
            outcome.skips["no guest on a machine without apt; the reason is above"] += 1
        else:
            count(outcome, Path(folder, "report.xml"))
    return outcome


def guest_is_optional() -> bool:
    """Return whether this machine may do without: it cannot fetch a kernel, and nobody promised one."""
    return os.environ.get("CI") != "true" and not shutil.which("apt-get")


def count(outcome: Outcome, report: Path) -> None:
    """Add up pytest's own report; none means that pytest did not come to its end."""
    try:
        cases = ET.parse(report).iter("testcase")  # noqa: S314 - written by the run above
    except (OSError, ET.ParseError):
        outcome.counts["error"] += 1
        return
    for case in cases:
        results = [child for child in case if child.tag in {"failure", "error", "skipped"}]
        outcome.counts.update({child.tag for child in results} or {"passed"})
        outcome.skips.update(child.get("message", "") for child in results if child.tag == "skipped")


def table(outcomes: Sequence[Outcome]) -> str:
    """Return the summary, a row for each part and the reasons of what was skipped below it."""
    lines = [f"{'suite':12} {'world':15} {'passed':>7} {'failed':>7} {'skipped':>8} {'time':>8}"]
    for outcome in outcomes:
        counts = outcome.counts
        lines.append(
            f"{outcome.part.suite:12} {outcome.part.world:15} {counts['passed']:7} "
            f"{counts['failure'] + counts['error']:7} {counts['skipped']:8} {outcome.seconds:6.1f} s"
        )
        lines += [f"    {times} x {reason}" for reason, times in sorted(outcome.skips.items())]
    return "\n".join(lines)


def closing_line(outcomes: Sequence[Outcome]) -> str:
    """Return the sum over all parts in the words of pytest's own last line."""
    counts = sum((outcome.counts for outcome in outcomes), Counter[str]())
    words = {"failure": "failed", "passed": "passed", "skipped": "skipped", "error": "errors"}
    said = ", ".join(f"{counts[key]} {word}" for key, word in words.items() if counts[key])
    return f" {said} in {sum(outcome.seconds for outcome in outcomes):.2f}s ".center(80, "=")


def prepare() -> None:
    """Get what is missing now: guests have no network, and pytest would hide that a kernel is being built.

    Failures are told and are not the end: whatever needs the missing part fails by itself, or says why it does not.
    """
    try:
        for name in TOOLS:
            DebianTools().tool(name)
    except (Unavailable, FetchError) as error:
        print(f"suite: {error}", file=sys.stderr)
    subprocess.run([*GUEST, "--prepare"], cwd=ROOT, check=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run everything; return 0 when every part passed."""
    parser = argparse.ArgumentParser(description="run the test suite here and in guests, and sum up")
    parser.add_argument("--long", action="store_true", help="also tests that take minutes, and every world in a guest")
    long: bool = parser.parse_args(arguments).long
    prepare()
    options = ["-m", "long or not long"] if long else []
    native = discover_mounts().world
    outcomes = [run(part, options) for part in parts(native, every_world=long)]
    print(f"\n{table(outcomes)}\n{closing_line(outcomes)}")
    return int(any(outcome.exit_code for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
