"""Patterns of log lines: how often they matched, and when that was often enough to be told.

A line that comes a thousand times a second is one alert: a pattern is counted, and it is due when it matched
``at_least`` times ``within`` so many seconds.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from exporters.alerts.overrides import Which

_LONGEST: Final = 200  # characters of a line that are shown
_MOST_LINE: Final = 4096  # characters of a line that are looked at: patterns may be slow


@dataclass(frozen=True, slots=True)
class Pattern:
    """What to look for. ``level`` is the severity of the alert, ``which`` the containers whose logs are read."""

    name: str
    regex: re.Pattern[str]
    level: str = "warning"
    at_least: int = 1
    within_seconds: float = 60.0
    which: Which = Which()  # noqa: RUF009 - it is frozen


@dataclass(slots=True)
class Matches:
    """How one pattern did in one log. ``due_epoch`` is when it last matched often enough; seconds of the epoch."""

    pattern: Pattern
    count: int = 0
    due_epoch: float | None = None
    last_line: str = ""
    _recent: deque[float] = field(default_factory=deque)

    def look(self, line: str, epoch: float) -> None:
        """Compare one line."""
        if not self.pattern.regex.search(line[:_MOST_LINE]):
            return
        self.count += 1
        self.last_line = line[:_LONGEST]
        recent = self._recent
        recent.append(epoch)
        while len(recent) > self.pattern.at_least:
            recent.popleft()
        if len(recent) == self.pattern.at_least and epoch - recent[0] <= self.pattern.within_seconds:
            self.due_epoch = epoch


def shipped_patterns() -> tuple[Pattern, ...]:
    """Give the patterns of the kernel's log that come with the exporter."""
    return tuple(Pattern(name, re.compile(regex), level) for name, level, regex in _SHIPPED)


# Messages of the kernel, with where they are made.
_SHIPPED: Final = (
    ("hung-task", "warning", r"task \S+ blocked for more than \d+ seconds"),  # kernel/hung_task.c
    ("soft-lockup", "critical", r"soft lockup - CPU#\d+ stuck"),  # kernel/watchdog.c
    ("hard-lockup", "critical", r"hard LOCKUP on cpu"),  # kernel/watchdog.c
    ("rcu-stall", "critical", r"rcu.*(?:detected stalls|self-detected stall)"),  # kernel/rcu/tree_stall.h
    ("kernel-bug", "critical", r"^(?:kernel BUG at |BUG: |Oops: |Oops:|general protection fault)"),  # arch/*/kernel
    ("hardware-error", "critical", r"\[Hardware Error\]|Machine check events logged"),  # drivers/firmware/efi/cper.c
    ("filesystem-error", "critical", r"(?:EXT4-fs|BTRFS|XFS) ?(?:error|critical)|XFS .*[Cc]orruption|XFS .*Shutdown"),
    ("remounted-read-only", "critical", r"Remounting filesystem read-only"),  # fs/ext4/super.c
    ("disk-error", "critical", r"(?:I/O|critical \w+) error, dev \S+|Buffer I/O error on dev"),  # block/blk-core.c
    ("conntrack-full", "critical", r"nf_conntrack: (?:nf_conntrack: )?table full, dropping packet"),
    ("neighbour-table-full", "warning", r"neighbo[u]?r: \S+: neighbor table overflow"),  # net/core/neighbour.c
    ("tcp-memory", "warning", r"TCP: out of memory|TCP: too many orphaned sockets"),  # net/ipv4/tcp.c
    ("allocation-failed", "warning", r"page allocation failure: order:"),  # mm/page_alloc.c
    ("fork-rejected", "warning", r"cgroup: fork rejected by pids controller"),  # kernel/cgroup/pids.c
    ("unregister-netdevice", "warning", r"unregister_netdevice: waiting for \S+ to become free"),  # net/core/dev.c
    ("segfault", "info", r"\S+\[\d+\]: segfault at "),  # arch/x86/mm/fault.c
)
