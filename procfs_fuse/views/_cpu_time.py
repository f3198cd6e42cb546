"""CPU time in the ticks of user space, shared by stat and uptime so that they agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cgroup_model.snapshot import CpuTime, CpuTimes, Snapshot

USER_HZ = 100
"""Ticks per second in every file of /proc, on every architecture but alpha (include/asm-generic/param.h)."""

TICK_USEC = 1_000_000 // USER_HZ
_IDLE = 3  # field of a line: user nice system idle iowait irq softirq steal guest guest_nice

Ticks = tuple[int, ...]
"""The fields of one line of /proc/stat."""


@dataclass(frozen=True, slots=True)
class CpuLines:
    """The ``cpu`` line and one line for each shown CPU."""

    total: Ticks
    each: tuple[Ticks, ...]

    @property
    def idle_ticks(self) -> int:
        """Idle time of all CPUs, hidden ones included."""
        return self.total[_IDLE] if len(self.total) > _IDLE else 0


def cpu_lines(times: CpuTimes) -> CpuLines:
    """Cut each account down to whole ticks, then sum.

    In this order the ``cpu`` line is exactly the sum of its parts, and no field falls as long as no account does:
    also a CPU that is hidden only moves whole ticks.
    """
    each = tuple(_ticks(time) for time in times.cpus)
    return CpuLines(column_sums([*each, _ticks(times.hidden)]), each)


def column_sums(lines: Sequence[Ticks]) -> Ticks:
    """Sum the lines field by field."""
    return tuple(map(sum, zip(*lines, strict=False)))


def _ticks(time: CpuTime) -> Ticks:
    user, nice, system = time.user // TICK_USEC, time.nice // TICK_USEC, time.system // TICK_USEC
    # Waiting for the disk, interrupts and guests are not counted per cgroup.
    return user, nice, system, time.idle // TICK_USEC, 0, 0, 0, time.steal // TICK_USEC, 0, 0


def shown_count(snapshot: Snapshot) -> int:
    """Return how many CPUs the container sees; the machine's where that is unknown."""
    return snapshot.cpus.count if snapshot.cpus is not None else max(1, len(snapshot.host.online_cpus))
