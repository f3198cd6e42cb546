"""Processes of a container, with psutil. Every field may be None: processes end, and not everything is ours to read."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
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
