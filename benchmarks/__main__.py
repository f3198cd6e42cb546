"""Measure reads of the virtual /proc beside the kernel's own and Debian's lxcfs; print a table, ratios and bars.

Exit code 0: every bar holds; 1: some bar does not.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.container import Container, container
from benchmarks.measure import Case, run_rounds
from benchmarks.servers import Server, lxcfs, ours
from cgroup_model.keys import escape_path

HERE = Path(__file__).parent
OPEN_FILES = ("stat", "cpuinfo", "uptime", "loadavg")
QUICK_ROUNDS, ROUNDS = 3, 7


def main() -> int:
    """Run everything."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help=f"default {ROUNDS}")
    parser.add_argument("--quick", action="store_true", help=f"only {QUICK_ROUNDS} rounds")
    parser.add_argument("--json", metavar="FILE", help="write the figures there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cgscope-bench-") as folder:
        os.chmod(folder, 0o755)  # noqa: S103 - the container's programs read below it
        reader = build_reader(folder)
        with ours(folder) as we, lxcfs(folder) as peer, container("b") as inside:
            cases = make_cases(inside, we, peer)
            run_rounds(inside, reader, cases, QUICK_ROUNDS if options.quick else options.rounds)
            pss = {server.name: server.pss_kib() for server in (we, peer)}
    bars = tomllib.loads((HERE / "bars.toml").read_text(encoding="utf-8"))["bar"]
    verdicts = [judge(bar, cases) for bar in bars]
    show(cases, pss, verdicts)
    if options.json:
        write_json(options.json, cases, pss, verdicts)
    return 0 if all(verdict["holds"] for verdict in verdicts) else 1


def build_reader(folder: str) -> str:
    """Compile the reader."""
    program = os.path.join(folder, "reader")
    subprocess.run(["cc", "-O2", "-static", "-o", program, str(HERE / "reader.c")], check=True)
    return program


def make_cases(inside: Container, we: Server, peer: Server) -> list[Case]:
    """Bind our files into the container and list what is read. lxcfs answers for the caller at its mount point."""
    key = escape_path(inside.path)
    cached, opened = f"{we.containers}/{key}/proc/meminfo", f"{we.mountpoint}/containers/{key}/proc"
    inside.bind(cached, "/mnt/cached")
    for name in ("meminfo", *OPEN_FILES):
        inside.bind(f"{opened}/{name}", f"/mnt/{name}")
    cases = [
        Case("meminfo hot", "kernel", "/proc/meminfo"),
        Case("meminfo hot", "lxcfs", f"{peer.mountpoint}/proc/meminfo", server=peer),
        Case("meminfo hot", "cached", "/mnt/cached", server=we),
        Case("meminfo hot", "open", "/mnt/meminfo", server=we),
        Case("meminfo hot", "caller", f"{we.mountpoint}/proc/meminfo", server=we),
        Case("meminfo paced", "kernel", "/proc/meminfo", paced=True),
        Case("meminfo paced", "lxcfs", f"{peer.mountpoint}/proc/meminfo", paced=True, server=peer),
        Case("meminfo paced", "cached", "/mnt/cached", paced=True, server=we),
    ]
    for name in OPEN_FILES:
        cases += [
            Case(f"{name} hot", "kernel", f"/proc/{name}"),
            Case(f"{name} hot", "lxcfs", f"{peer.mountpoint}/proc/{name}", server=peer),
            Case(f"{name} hot", "open", f"/mnt/{name}", server=we),
        ]
    return cases


def judge(bar: dict[str, Any], cases: Sequence[Case]) -> dict[str, Any]:
    """Compare the ratio of two cases' medians (over rounds, pair by pair) with a bar."""
    ours_, theirs = (
        next(case for case in cases if case.group == bar["group"] and case.candidate == bar[side])
        for side in ("ours", "against")
    )
    name = bar.get("figure", "p50_usec")
    pairs = zip(getattr(ours_, name), getattr(theirs, name), strict=True)
    ratios = [us / them for us, them in pairs if them > 0]
    ratio = median(ratios) if ratios else float("nan")
    return {**bar, "figure": name, "ratio": round(ratio, 3), "holds": ratio <= bar["at_most"]}


def show(cases: Sequence[Case], pss: dict[str, int], verdicts: Sequence[dict[str, Any]]) -> None:
    """Print for people."""
    print(f"{'case':<16} {'candidate':<9} {'p50 us':>9} {'of rounds':>17} {'p99 us':>9} {'server CPU us/read':>19}")
    for case in cases:
        row = case.as_json()
        low, high = min(case.p50_usec), max(case.p50_usec)
        cpu = "-" if row["server_cpu_usec_per_read"] is None else row["server_cpu_usec_per_read"]
        spread = f"{low:.1f} to {high:.1f}"
        print(f"{case.group:<16} {case.candidate:<9} {row['p50_usec']:>9} {spread:>17} {row['p99_usec']:>9} {cpu:>19}")
    print("\nPSS: " + ", ".join(f"{name} {kib / 1024:.1f} MiB" for name, kib in pss.items()) + "\n")
    for verdict in verdicts:
        mark = "holds" if verdict["holds"] else "FAILS"
        what = f"{verdict['group']}, {verdict['figure']}: {verdict['ours']} / {verdict['against']}"
        print(f"{mark}  {what} = {verdict['ratio']} (at most {verdict['at_most']})")


def write_json(path: str, cases: Sequence[Case], pss: dict[str, int], verdicts: Sequence[dict[str, Any]]) -> None:
    """Write for programs."""
    machine = {"kernel": platform.release(), "cpus": os.cpu_count(), "python": platform.python_version()}
    data = {
        "when": time.strftime("%Y-%m-%d"),
        "machine": machine,
        "load": os.getloadavg()[0],
        "cases": [case.as_json() for case in cases],
        "pss_kib": pss,
        "bars": list(verdicts),
    }
    Path(path).write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
