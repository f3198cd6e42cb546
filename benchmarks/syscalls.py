"""What an answer to sysinfo(2) costs beside the kernel's own, and what the filter costs every other call.

python -m benchmarks.syscalls [--rounds N]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.container import container
from benchmarks.floors import answered
from benchmarks.kit import Kit
from benchmarks.results import FLOOR
from benchmarks.touched import files_behind

ASKER = Path(__file__).parents[1] / "tests/integration/programs/asker.c"
CALLS = 20_000
ROUNDS = 5


@dataclass(slots=True)
class Calls:
    """Medians of rounds in a container, nanoseconds per call."""

    name: str
    options: Sequence[str]
    sysinfo_ns: list[int] = field(default_factory=list)
    other_ns: list[int] = field(default_factory=list)  # getppid(2), which no filter stops


def measure(rounds: int = ROUNDS) -> list[Calls]:
    """Measure containers of `run` without and with the filter, in turn."""
    cases = [Calls("kernel", ["--no-sysinfo"]), Calls("agent", [])]
    with tempfile.TemporaryDirectory(prefix="cgscope-bench-") as folder:
        program = os.path.join(folder, "asker")
        subprocess.run(["cc", "-O2", "-static", "-o", program, str(ASKER)], check=True)
        environment = {**os.environ, "CGSCOPE_STATE_DIR": os.path.join(folder, "state")}
        for number in range(rounds):
            for case in cases if number % 2 == 0 else reversed(cases):
                words = [sys.executable, "-m", "procfs_fuse", "run", *case.options, "--memory", "256M", "--"]
                command = [*words, program, "time", str(CALLS)]
                done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
                sysinfo, other = map(int, done.stdout.split())
                case.sysinfo_ns.append(sysinfo)
                case.other_ns.append(other)
    return cases


def part(kit: Kit) -> None:
    """Measure, for the whole benchmark; microseconds per call."""
    for case in measure(kit.some(3)):
        for sysinfo, other in zip(case.sysinfo_ns, case.other_ns, strict=True):
            kit.results.add("sysinfo(2)", case.name, {"call_usec": sysinfo / 1000})
            kit.results.add("getppid(2), which no filter stops", case.name, {"call_usec": other / 1000})
    with container("c") as inside:
        least = answered(kit, 1, files_behind(inside.path, "meminfo"), reads=CALLS // 10)
    kit.results.add("sysinfo(2)", FLOOR, {"call_usec": least["p50_usec"]})


def show(cases: Sequence[Calls]) -> None:
    """Print for people."""
    print(f"{'who answers':<12} {'sysinfo(2) us':>14} {'of rounds':>16} {'getppid(2) us':>14}")
    for case in cases:
        spread = f"{min(case.sysinfo_ns) / 1000:.2f} to {max(case.sysinfo_ns) / 1000:.2f}"
        told, other = median(case.sysinfo_ns) / 1000, median(case.other_ns) / 1000
        print(f"{case.name:<12} {told:>14.2f} {spread:>16} {other:>14.3f}")
    kernel, agent = cases
    pairs = zip(agent.other_ns, kernel.other_ns, strict=True)
    print(f"calls that are not stopped: {median(with_filter / without for with_filter, without in pairs):.2f} x")


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.syscalls", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help=f"default {ROUNDS}")
    parser.add_argument("--json", metavar="FILE", help="write the figures there")
    options = parser.parse_args()
    cases = measure(options.rounds)
    show(cases)
    if options.json:
        figures = {case.name: {"sysinfo_ns": case.sysinfo_ns, "getppid_ns": case.other_ns} for case in cases}
        Path(options.json).write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
