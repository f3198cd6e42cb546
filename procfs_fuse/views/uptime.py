"""/proc/uptime: seconds since the container started, and how long its CPUs idled; not the machine's.

Kernel: fs/proc/uptime.c; seconds, cut to 1/100. The second number sums over CPUs and may exceed the first.

    12.50 11.98
"""

from __future__ import annotations

from cgroup_model.snapshot import Need, Snapshot
from procfs_fuse.views._cpu_time import TICK_USEC, USER_HZ, cpu_lines, shown_count

PATH = "proc/uptime"
NEEDS = Need.AGE | Need.CPU_TIMES | Need.CPUS
OPTIONAL = Need.CPUS  # read only where the accounts are unknown


def render(snapshot: Snapshot) -> bytes:
    """Return age and idle time; the machine's age if the container's is unknown."""
    age_ticks = _ticks(snapshot.taken_at if snapshot.age_seconds is None else snapshot.age_seconds)
    return b"%d.%02d %d.%02d\n" % (*divmod(age_ticks, USER_HZ), *divmod(_idle_ticks(snapshot, age_ticks), USER_HZ))


def same_until(snapshot: Snapshot) -> float:
    """Return when (CLOCK_BOOTTIME, seconds) the age is a tick older: an answer from before does till then."""
    if snapshot.age_seconds is None:
        return snapshot.taken_at
    return snapshot.taken_at + (TICK_USEC - _usec(snapshot.age_seconds) % TICK_USEC) / 1e6


def _idle_ticks(snapshot: Snapshot, age_ticks: int) -> int:
    if snapshot.cpu_times is not None:
        return cpu_lines(snapshot.cpu_times).idle_ticks
    used = snapshot.cpu.usage_usec if snapshot.cpu is not None else None
    # Nothing is known of what it used: no idle time is claimed, rather than all of it.
    return 0 if used is None else max(0, age_ticks * shown_count(snapshot) - used * USER_HZ // 1_000_000)


def _ticks(seconds: float) -> int:
    return _usec(seconds) // TICK_USEC


def _usec(seconds: float) -> int:
    # Ticks are counted in these, since 0.29 * 100 is 28.999999999999996.
    return round(max(0.0, seconds) * 1_000_000)
