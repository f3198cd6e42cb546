"""Measure everything beside its peers, in turns; print tables, slopes and verdicts; write them as JSON.

Exit code 0: every bar that was measured holds; 1: some bar does not.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks import reads, scrapes, sizes, starts, survival, syscalls, tables, terminal
from benchmarks.bars import verdicts
from benchmarks.kit import MINUTES, QUICK_MINUTES, QUICK_ROUNDS, ROUNDS, Kit, Part, end_in_order
from benchmarks.machine import describe
from benchmarks.peers import versions
from benchmarks.programs import build
from benchmarks.results import Results
from cgroup_model.control import ControlError
from scripts.bytecode import compile_packages
from scripts.debian_tools import FetchError, Unavailable

PARTS: Final[Mapping[str, Part]] = {
    "reads": reads.measure,
    "starts": starts.measure,
    "survival": survival.measure,
    "terminal": terminal.measure,
    "scrapes": scrapes.measure,
    "sizes": sizes.measure,
    "syscalls": syscalls.part,
}


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("part", nargs="*", help=f"of {', '.join(PARTS)}; default: all")
    parser.add_argument("--rounds", type=int, metavar="N", help=f"default {ROUNDS}, quick {QUICK_ROUNDS}")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, fewer sizes")
    parser.add_argument(
        "--minutes",
        type=float,
        metavar="N",
        help=f"begin nothing large after that; default {MINUTES}, quick {QUICK_MINUTES}",
    )
    parser.add_argument("--json", metavar="FILE", help="write the figures there")
    options = parser.parse_args()
    if unknown := set(options.part) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}")
    end_in_order()
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    minutes = options.minutes or (QUICK_MINUTES if options.quick else MINUTES)
    results = run(options.part or list(PARTS), rounds=rounds, quick=options.quick, minutes=minutes)
    if options.json:
        Path(options.json).write_text(results.to_json(), encoding="utf-8")
    return report(results)


def run(parts: Sequence[str], *, rounds: int, quick: bool, minutes: float) -> Results:
    """Measure; a part that fails is told of, and the others go on."""
    until = time.monotonic() + 60 * minutes
    compile_packages()
    results = Results(describe() | {"rounds": rounds, "quick": quick})
    for part in parts:
        began = time.monotonic()
        if began > until:
            results.missing.append(f"{part}: no time was left")
            continue
        with tempfile.TemporaryDirectory(prefix="cgscope-bench-") as folder:
            os.chmod(folder, 0o755)  # noqa: S103 - the container's programs read below it
            kit = Kit(folder, build(folder), results, quick, rounds, until)
            try:
                PARTS[part](kit)
            except (SystemExit, OSError, subprocess.CalledProcessError, ControlError, Unavailable, FetchError) as error:
                results.missing.append(f"{part}: {error}")
        print(f"{part}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    results.machine["peers"] = versions({row.candidate for row in results.rows})
    results.machine["load_after"] = os.getloadavg()[0]
    return results


def report(results: Results) -> int:
    """Print for people; returns the exit code."""
    found = verdicts(results)
    for table in (tables.cases(results), tables.slopes(results), tables.judged(found)):
        print(tables.text(table))
    for missing in results.missing:
        print(f"not measured: {missing}")
    return 0 if all(one.holds is not False for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
