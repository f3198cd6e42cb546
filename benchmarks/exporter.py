"""One scrape of many cgroups, by phase: CPU time. All containers of the machine are on the page, not only our own.

    python -m benchmarks.exporter [--cgroups N] [--scrapes N] [--no-processes] [--profile FILE]

``collect`` reads the files and takes the values out, ``encode`` writes the page. The first scrape opens files and is
told alone. Each cgroup has a sleeping process, as in the figures of the exporters that this one is compared with.
"""

from __future__ import annotations

import argparse
import cProfile
import hashlib
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Final

from cgroup_model.control import add_process, create, kill, remove
from cgroup_model.mounts import discover_mounts
from exporters.encoder import encode
from exporters.garbage import Garbage
from exporters.setup import Exporter, Settings

TOP: Final = f"/cgscope-bench-exporter-{os.getpid()}"


@contextmanager
def cgroups(number: int, *, processes: bool) -> Iterator[None]:
    """Make containers as Docker would call them, each with a process that sleeps."""
    mounts = discover_mounts()
    sleepers = []
    try:
        for one in range(number):
            path = f"{TOP}/docker/{hashlib.sha256(str(one).encode()).hexdigest()}"
            create(mounts, path)
            if processes:
                sleepers.append(subprocess.Popen(["sleep", "100000"]))
                add_process(mounts, path, sleepers[-1].pid)
        yield
    finally:
        kill(mounts, TOP)
        for sleeper in sleepers:
            sleeper.wait()
        remove(mounts, TOP)


def scrape(exporter: Exporter, garbage: Garbage) -> tuple[float, float, int]:
    """Make a page; CPU seconds of collecting and of encoding, and its size in bytes."""
    began = time.process_time()
    with garbage.put_off():
        sheet = exporter.scraper.scrape()
        middle = time.process_time()
        size = sum(map(len, encode(sheet, "text")))
    return middle - began, time.process_time() - middle, size


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.exporter", description=__doc__)
    parser.add_argument("--cgroups", type=int, default=1000, metavar="N")
    parser.add_argument("--scrapes", type=int, default=15, metavar="N")
    parser.add_argument("--no-processes", action="store_true", help="empty cgroups")
    parser.add_argument("--profile", metavar="FILE", help="write cProfile's statistics of further scrapes there")
    options = parser.parse_args()
    garbage = Garbage()
    with cgroups(options.cgroups, processes=not options.no_processes), Exporter(Settings()) as exporter:
        exporter.watch()
        first = scrape(exporter, garbage)
        scrape(exporter, garbage)
        rounds = [scrape(exporter, garbage) for _ in range(options.scrapes)]
        if options.profile:
            profile = cProfile.Profile()
            profile.enable()
            for _ in range(3):
                scrape(exporter, garbage)
            profile.disable()
            profile.dump_stats(options.profile)
        series, found = exporter.scraper.status.series, exporter.scraper.status.containers
    collect, encoded = (sorted(one[phase] * 1000 for one in rounds) for phase in (0, 1))
    both = sorted((one[0] + one[1]) * 1000 for one in rounds)
    print(f"{found} cgroups on the machine, {series} series, {rounds[-1][2] / 1e6:.1f} MB")
    print(f"first scrape: {(first[0] + first[1]) * 1000:.0f} ms of CPU time")
    for name, times in (("collect", collect), ("encode", encoded), ("scrape", both)):
        print(f"{name}: median {median(times):.0f} ms, best {times[0]:.0f} ms")
    print(f"memory at most: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
