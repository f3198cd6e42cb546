"""Run the whole test suite (`make test`): on this machine and in guests of other cgroup worlds; sum up in a table.

Unit, property, golden and architecture tests do not depend on the world and run once. `tests/integration` runs against
this machine's kernel and, in a guest, against each world (cgroup v1, v2) that this machine has not. Guests are machines
of their own, so they run beside the rest.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cgroup_model.mounts import discover_mounts
from scripts.bytecode import compile_packages
from scripts.debian_tools import TOOLS, DebianTools, FetchError, Unavailable
from scripts.outcome import Outcome, closing_line, table
from scripts.parts import GUEST, READING, ROOT, Part, command, parts

NO_GUEST: Final = 125
"""Exit code of the guest's runner when there is no guest to be had."""

AT_A_TIME: Final = 3
"""Tests wait as much as they compute: three parts keep two cores busy."""

PROGRESS_SECONDS: Final = 60
SECOND_CHANCES: Final = 3
"""More failures than this in one part are no accident, and are not run again."""


class Suite:
    """Runs parts side by side; what each prints comes in one piece when it has ended."""

    def __init__(self, options: Sequence[str]) -> None:
        self._options = options
        self._printing = threading.Lock()
        self._started = time.monotonic()

    def run(self, todo: Sequence[Part]) -> list[Outcome]:
        """Run everything, the parts that take longest first, some at a time; what may wait for a kernel comes last."""
        longest_first = sorted(todo, key=lambda part: (part.tests == READING, part.suite == "unit"))
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            outcomes = dict(zip(longest_first, pool.map(self.run_part, longest_first), strict=True))
        return [outcomes[part] for part in todo]

    def run_part(self, part: Part) -> Outcome:
        """Run pytest for one part."""
        self._say(f"{part}: begins")
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="cgscope-suite-") as folder:
            log = Path(folder, "log")
            exit_code = self._pytest(part, folder, log)
            outcome = Outcome(part, exit_code, time.monotonic() - started)
            if part.guest and exit_code == NO_GUEST and guest_is_optional():
                outcome.exit_code = 0
                outcome.skips["no guest on a machine without apt; the reason is above"] += 1
            else:
                outcome.count(Path(folder, "report.xml"))
            self._show(part, log)
        return outcome

    def _pytest(self, part: Part, folder: str, log: Path) -> int:
        with log.open("wb") as output:
            process = subprocess.Popen(
                command(part, self._options, folder), cwd=ROOT, stdout=output, stderr=subprocess.STDOUT
            )
            while True:
                try:
                    return process.wait(PROGRESS_SECONDS)
                except subprocess.TimeoutExpired:
                    self._say(f"{part}: {progress(log)}")

    def _say(self, line: str) -> None:
        with self._printing:
            print(f"[{time.monotonic() - self._started:4.0f} s] {line}", flush=True)

    def _show(self, part: Part, log: Path) -> None:
        with self._printing:
            print(f"\n### {part}", flush=True)
            sys.stdout.buffer.write(log.read_bytes())
            sys.stdout.buffer.flush()


def progress(log: Path) -> str:
    """Return how far pytest has come, as it says itself; before that, what a guest says about its kernel."""
    text = log.read_text(errors="replace")
    if said := re.findall(r"\[ *(\d+)%\]", text):
        return f"{said[-1]} %"
    return next((line for line in text.splitlines() if line.startswith("guest: ")), "no test has ended yet")


def look_again(outcome: Outcome, rerun: Callable[[Part], Outcome]) -> None:
    """Run the tests that failed once more, now that the machine is quiet.

    A test that fails beside other work and passes alone is a fault, but seldom one of the change under test: the table
    names it, and the run goes on.
    """
    part = outcome.part
    if outcome.failed and len(outcome.failed) <= SECOND_CHANCES and outcome.bad == len(outcome.failed):
        outcome.forgive(rerun(Part(part.suite + ", again", part.world, tuple(outcome.failed), part.guest)))


def guest_is_optional() -> bool:
    """Return whether this machine may do without: it cannot fetch a kernel, and nobody promised one."""
    return os.environ.get("CI") != "true" and not shutil.which("apt-get")


def prepare() -> None:
    """Get the tools that are missing now: guests have no network.

    Failures are told and are not the end: whatever needs the missing part fails by itself, or says why it does not.
    """
    compile_packages()
    try:
        for name in TOOLS:
            DebianTools().tool(name)
    except (Unavailable, FetchError) as error:
        print(f"suite: {error}", file=sys.stderr)


@contextmanager
def kernel_on_its_way() -> Iterator[None]:
    """Have the guests' kernel built, where there is none, from the first second on: guests wait for it.

    Why there cannot be one is said by each guest that lacks it.
    """
    process = subprocess.Popen([*GUEST, "--prepare"], cwd=ROOT)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run everything; return 0 when every part passed and skipped nothing that it should not."""
    parser = argparse.ArgumentParser(description="run the test suite here and in guests, and sum up")
    parser.add_argument("--long", action="store_true", help="also tests that take minutes, and every world in a guest")
    long: bool = parser.parse_args(arguments).long
    todo = list(parts(discover_mounts().world, every_world=long))
    with kernel_on_its_way():
        prepare()
        suite = Suite(["-m", "long or not long", "-o", "timeout=0"] if long else [])
        outcomes = suite.run(todo)
    for outcome in outcomes:
        look_again(outcome, suite.run_part)
    print(f"\n{table(outcomes)}\n{closing_line(outcomes)}")
    return int(not all(outcome.is_good for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
