"""What nobody can avoid, by programs in C: reading the very files, waking one another, mounting."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Sequence

from benchmarks.kit import Kit

OPEN_TRIPS = 3
"""How often a server is woken by a read of an open file: OPEN, READ, RELEASE; nobody waits for the last."""
MISS_TRIPS = 2
"""How often by a miss of the page cache: GETATTR, READ."""
_PAUSE_USEC = 300_000


def answered(kit: Kit, trips: int, behind: Sequence[str], *, reads: int, pace_usec: int = 0) -> dict[str, float]:
    """Have a program read these files for another one that wakes it so many times for each read; microseconds."""
    return _figures(_output([kit.programs.floor, str(trips), str(reads), str(pace_usec), *behind]))


def answered_at_once(kit: Kit, trips: int, behind: Sequence[str], *, reads: int, pairs: int) -> list[dict[str, float]]:
    """Have many pairs of such programs at once."""
    words = [kit.programs.floor, str(trips), str(reads), "0", *behind]
    started = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(pairs)]
    return [_figures(process.communicate()[0]) for process in started]


def collected(kit: Kit, files: Iterable[str], *, rounds: int = 3) -> dict[str, float]:
    """Read all these files, which stay open as far as that many may, in a loop; milliseconds per round."""
    command = [kit.programs.sweep, str(rounds), str(_PAUSE_USEC)]
    cpu, took = (int(word) / 1e6 for word in _output(command, "".join(f"{name}\n" for name in files)).split())
    return {"cpu_msec": cpu, "latency_msec": took}


def mounted(kit: Kit, *words: str) -> float:
    """Milliseconds of the calls that mount a file system or bind files; see the head of the program's source."""
    return int(_output([kit.programs.mounts, *words])) / 1e6


def _figures(printed: str) -> dict[str, float]:
    least, p50, p99, cpu = (int(word) / 1000 for word in printed.split())
    return {"p50_usec": p50, "p99_usec": p99, "min_usec": least, "server_cpu_usec": cpu}


def _output(command: Sequence[str], given: str | None = None) -> str:
    return subprocess.run(command, input=given, check=True, stdout=subprocess.PIPE, text=True).stdout
