"""What the watcher has done so far, in a file of the instance's state directory for `status`, metrics and people."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from cgscope.state import ATTACHED
from procfs_fuse.attach.containers import Container
from procfs_fuse.attach.outcome import Outcome, Reason

LATE_SECONDS: Final = 0.05
"""A container that was attached later than this after its program's start."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One container."""

    cgroup: str
    title: str
    pid: int
    problem: str | None
    reason: str | None  # of the problem, in one word
    at: float  # seconds since the epoch
    delay_seconds: float | None  # from the start of its program to its last file; None: nobody told of the start

    @classmethod
    def of(cls, container: Container, outcome: Outcome, delay_seconds: float | None = None) -> Entry:
        """What became of a container just now."""
        reason = outcome.reason.value if outcome.reason is not None else None
        return cls(container.path, container.title, container.pid, outcome.problem, reason, time.time(), delay_seconds)


class Report:
    """The entries, and their file."""

    def __init__(self, directory: str, *, live: bool) -> None:
        self._path = os.path.join(directory, ATTACHED)
        self._entries: dict[str, Entry] = {}
        self._live = live
        self._attached = self._timed = self._late = 0
        self._failed: Counter[str] = Counter()
        self._delay_seconds = 0.0
        self._changed = True
        self._written_at: float | None = None

    @property
    def cgroups(self) -> frozenset[str]:
        """The containers that have entries."""
        return frozenset(self._entries)

    def put(self, entry: Entry) -> None:
        """Add or replace a container's entry."""
        self._entries[entry.cgroup] = entry
        self._attached += entry.problem is None
        if entry.reason is not None:
            self._failed[entry.reason] += 1
        if entry.delay_seconds is not None:
            self._timed += 1
            self._delay_seconds += entry.delay_seconds
            self._late += entry.delay_seconds > LATE_SECONDS
        self._changed = True

    def drop(self, cgroup: str) -> None:
        """Forget a container that is gone; it stays in the totals."""
        self._changed |= self._entries.pop(cgroup, None) is not None

    def write_at_most_every(self, seconds: float) -> None:
        """Write the file when something changed and the last time is that long ago."""
        now = time.monotonic()
        if self._changed and (self._written_at is None or now - self._written_at >= seconds):
            self.write()
            self._written_at = now

    def write(self) -> None:
        """Write the file in one step. A state directory that is gone is no error: its instance is, too."""
        document = {
            "watcher": os.getpid(),
            "events": self._live,
            "attached_total": self._attached,
            "failed_total": {reason.value: self._failed[reason.value] for reason in Reason},
            "timed_total": self._timed,
            "late_total": self._late,
            "delay_seconds_total": self._delay_seconds,
            "containers": [asdict(entry) for entry in self._entries.values()],
        }
        with contextlib.suppress(FileNotFoundError):
            with open(f"{self._path}.new", "w", encoding="utf-8", errors="surrogateescape") as file:
                json.dump(document, file)
            os.replace(f"{self._path}.new", self._path)
        self._changed = False


def read(directory: str) -> Mapping[str, Any] | None:
    """What the watcher of an instance has written; None when there never was one.

    ``{"watcher": pid, "events": bool, "attached_total", "failed_total": {reason: number}, "timed_total": of how many
    the delay is known, "late_total", "delay_seconds_total", "containers": [{"cgroup", "title", "pid", "problem",
    "reason", "at", "delay_seconds"}]}``.
    """
    try:
        with open(os.path.join(directory, ATTACHED), encoding="utf-8", errors="surrogateescape") as file:
            document = json.load(file)
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None
