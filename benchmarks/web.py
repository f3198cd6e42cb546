"""The exporter's page over many cgroups, in a real Chromium: bytes and time of the main thread per refresh.

    python -m benchmarks.web [--cgroups N] [--looks N]

Bytes are those of all answers of a refresh as they were sent, names and limits apart; idle cgroups all have the same
numbers, so it is also told what it would be if no two numbers were alike. Time is Chromium's own count of the CPU time
of the main thread.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cgroup_model.control import create, remove
from cgroup_model.mounts import discover_mounts
from exporters.web.figures import FIGURES
from exporters.web.looks import packed
from scripts.browser import Browser, browser
from scripts.debian_tools import DebianTools

TOP: Final = f"/cgscope-bench-web-{os.getpid()}"
LOOKS: Final = (
    "return performance.getEntriesByType('resource').filter((one) => one.name.endsWith('/usage'))"
    ".map((one) => one.encodedBodySize)"
)
SIZES: Final = (
    "const found = {}; for (const one of performance.getEntriesByType('resource'))"
    " found[one.name.split('/').pop()] = [one.encodedBodySize, one.decodedBodySize]; return found"
)


@contextmanager
def cgroups(number: int) -> Iterator[None]:
    """Make containers without processes, as Docker would call them."""
    mounts = discover_mounts()
    try:
        for one in range(number):
            create(mounts, f"{TOP}/docker/{hashlib.sha256(str(one).encode()).hexdigest()}")
        yield
    finally:
        remove(mounts, TOP)


@contextmanager
def exporter() -> Iterator[tuple[str, int]]:
    """Run an exporter; gives its address and pid."""
    command = [sys.executable, "-m", "exporters", "--listen", "127.0.0.1:0", "--oom-state", "none", "--alerts"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    try:
        assert process.stderr is not None  # noqa: S101 - it is a pipe
        line = next(line for line in iter(process.stderr.readline, b"") if b"serving" in line).decode()
        yield line.split("serving ")[1].rsplit("/", 1)[0], process.pid
    finally:
        process.terminate()
        process.communicate()


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.web", description=__doc__)
    parser.add_argument("--cgroups", type=int, default=1000, metavar="N")
    parser.add_argument("--looks", type=int, default=10, metavar="N")
    options = parser.parse_args()
    driver = DebianTools().tool("chromedriver")
    with (
        tempfile.TemporaryDirectory(prefix="cgscope-bench-") as folder,
        cgroups(options.cgroups),
        exporter() as (url, pid),
        browser(driver, Path(folder)) as window,
    ):
        window.devtools("Performance.enable", timeDomain="threadTicks")
        window.open(f"{url}/")
        wait_for_looks(window, 4)  # the first ones open files and compile scripts
        before, cpu, seen = main_thread_seconds(window), cpu_seconds(pid), looks(window)
        wait_for_looks(window, seen + options.looks)
        spent, count = main_thread_seconds(window) - before, looks(window) - seen
        report(window, options.cgroups, spent / count)
        print(f"exporter: {(cpu_seconds(pid) - cpu) / count * 1000:.0f} ms CPU per refresh")
    return 0


def report(window: Browser, number: int, seconds: float) -> None:
    """Print sizes and times of one refresh."""
    sizes = {name.split("?")[0]: found for name, found in window.run(SIZES).items()}
    sent = sum(sizes[name][0] for name in ("usage", "alerts"))
    rows = window.run("return document.querySelectorAll('.containers tbody tr').length")
    print(f"{number} cgroups, {rows} rows drawn")
    print(f"per refresh: {sent / 1000:.1f} kB sent ({sizes['usage'][1] / 1000:.0f} kB of JSON)")
    print(f"if no two numbers were alike: {different(number) / 1000:.1f} kB sent")
    print(f"once, and when names or limits change: {sizes['containers'][0] / 1000:.1f} kB")
    print(f"main thread per refresh: {seconds * 1000:.1f} ms of CPU time")
    print(json.dumps({"cgroups": number, "bytes": sent, "main_thread_ms": round(seconds * 1000, 2)}))


def different(number: int) -> int:
    """Size of the numbers of so many busy containers, as sent."""
    chance = random.Random(1)  # noqa: S311 - nothing is secret
    moving = [figure.metric for figure in FIGURES if not figure.settled]
    seconds = [name for name in moving if name.endswith("_seconds_total")]
    whole = {name: [chance.randrange(1 << 32) for _ in range(number)] for name in moving}
    return len(packed(whole | {name: [round(chance.uniform(0, 1e5), 6) for _ in range(number)] for name in seconds}))


def looks(window: Browser) -> int:
    """Count the looks so far."""
    return len(window.run(LOOKS))


def wait_for_looks(window: Browser, number: int) -> None:
    """Wait until so many looks have been made, without keeping the page busy by asking."""
    deadline = time.monotonic() + 600
    while looks(window) < number and time.monotonic() < deadline:
        time.sleep(1)


def main_thread_seconds(window: Browser) -> float:
    """CPU time that the page's main thread has used so far."""
    found = window.devtools("Performance.getMetrics")["metrics"]
    return next(float(one["value"]) for one in found if one["name"] == "TaskDuration")


def cpu_seconds(pid: int) -> float:
    """CPU time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    sys.exit(main())
