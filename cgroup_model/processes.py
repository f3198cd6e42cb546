"""Processes of a container, with psutil. Every field may be None: processes end, and not everything is ours to read."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final, TypeVar

import psutil

_MOST: Final = 2000

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Process:
    """One process at one moment."""

    pid: int
    name: str | None
    user: str | None
    state: str | None  # psutil's word: running, sleeping, disk-sleep, zombie, …
    threads: int | None
    cpu_percent: float | None  # of one CPU, since the look before; None at the first
    rss_bytes: int | None
    age_seconds: float | None
    command: str | None


class Processes:
    """Reads processes again and again; CPU usage is measured between two reads."""

    def __init__(self, proc_root: str = "/proc", clock: Callable[[], float] = time.time) -> None:
        if proc_root != psutil.PROCFS_PATH:
            psutil.PROCFS_PATH = proc_root
        self._clock = clock
        self._known: dict[int, psutil.Process] = {}

    def read(self, pids: Iterable[int]) -> list[Process]:
        """Read these processes, at most 2000 of them; those that ended are left out."""
        kept: dict[int, psutil.Process] = {}
        found = []
        for pid in list(pids)[:_MOST]:
            before = self._known.get(pid)
            try:
                process = before if before is not None and before.is_running() else psutil.Process(pid)
                is_new = process is not before
                with process.oneshot():
                    found.append(self._look(process, is_new=is_new))
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
            kept[pid] = process
        self._known = kept
        return found

    def _look(self, process: psutil.Process, *, is_new: bool) -> Process:
        cpu = _allowed(lambda: process.cpu_percent(None))
        memory = _allowed(process.memory_info)
        started = _allowed(process.create_time)
        command = _allowed(process.cmdline)
        return Process(
            pid=process.pid,
            name=_allowed(process.name),
            user=_allowed(process.username),
            state=_allowed(process.status),
            threads=_allowed(process.num_threads),
            cpu_percent=None if is_new else cpu,
            rss_bytes=None if memory is None else memory.rss,
            age_seconds=None if started is None else max(0.0, self._clock() - started),
            command=" ".join(command) if command else None,
        )


def _allowed(read: Callable[[], Value]) -> Value | None:
    """Read one thing; None when it is not ours to know. That the process ended is the caller's matter."""
    try:
        return read()
    except (psutil.AccessDenied, KeyError):
        return None


# ---------------------------------------------------------------------------------- processes by description


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which processes are meant; all that is given has to fit.

    ``name`` and ``cgroup`` (one of the process's paths) are patterns of a shell, ``cmdline`` is searched for.
    """

    name: str | None = None
    cmdline: re.Pattern[str] | None = None
    cgroup: str | None = None


@dataclass(frozen=True, slots=True)
class Tally:
    """All processes that fit, added up; None where we may not look at one of them."""

    count: int = 0
    threads: int | None = 0
    descriptors: int | None = 0
    rss_bytes: int | None = 0


def tally(wanted: Sequence[Wanted], proc_root: str = "/proc") -> list[Tally]:
    """Look at every process once, and add up those that fit each description. Kernel threads have no command line."""
    if proc_root != psutil.PROCFS_PATH:
        psutil.PROCFS_PATH = proc_root
    found = [Tally() for _ in wanted]
    for pid in psutil.pids():
        try:
            process = psutil.Process(pid)
            with process.oneshot():
                fitting = [index for index, one in enumerate(wanted) if _fits(process, one, proc_root)]
                if fitting:
                    mine = _measured(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        for index in fitting:
            found[index] = _sum(found[index], mine)
    return found


def _fits(process: psutil.Process, wanted: Wanted, proc_root: str) -> bool:
    if process.status() == psutil.STATUS_ZOMBIE:  # it does nothing any more
        return False
    if wanted.name is not None and not fnmatchcase(process.name(), wanted.name):
        return False
    if wanted.cmdline is not None and not wanted.cmdline.search(" ".join(process.cmdline())):
        return False
    if wanted.cgroup is None:
        return True
    return any(fnmatchcase(path, wanted.cgroup) for path in _cgroups(process.pid, proc_root))


def _cgroups(pid: int, proc_root: str) -> list[str]:
    """List a process's cgroups: one per hierarchy (``4:memory:/docker/…``)."""
    try:
        with open(f"{proc_root}/{pid}/cgroup", encoding="utf-8", errors="surrogateescape") as file:
            return [line.rstrip("\n").split(":", 2)[2] for line in file if line.count(":") >= 2]
    except OSError:
        return []


def _measured(process: psutil.Process) -> Tally:
    memory = _allowed(process.memory_info)
    return Tally(
        count=1,
        threads=_allowed(process.num_threads),
        descriptors=_allowed(process.num_fds),
        rss_bytes=None if memory is None else memory.rss,
    )


def _sum(one: Tally, other: Tally) -> Tally:
    def both(a: int | None, b: int | None) -> int | None:
        return None if a is None or b is None else a + b

    return Tally(
        one.count + other.count,
        both(one.threads, other.threads),
        both(one.descriptors, other.descriptors),
        both(one.rss_bytes, other.rss_bytes),
    )
