"""cpu.* and cpuacct.* of cgroup v1.

Documentation/scheduler/sched-bwc.rst, Documentation/admin-guide/cgroup-v1/cpuacct.rst; kernel/sched/cpuacct.c.
Nanoseconds and clock ticks (USER_HZ) become microseconds here::

    cpuacct.usage       14465896152              cpuacct.stat    user 1622
    cpuacct.usage_all   cpu user system                          system 2130
                        0 5228113067 6854707963  cpu.stat        throttled_time 0
"""

from __future__ import annotations

import os
from dataclasses import replace
from functools import cache
from typing import Any

from cgroup_model.dialects.optional import directory_of, needed, optional, parsed
from cgroup_model.dialects.records import NO_QUOTA, Dirs, Quota
from cgroup_model.parse import FlatNumbers, ParseError, boolean, flat_keyed, integer, number_of, percent, signed
from cgroup_model.snapshot import UNLIMITED, Cpu, Throttling, UnlimitedType
from cgroup_model.source import Missing, Source

DEFAULT_SHARES = 1024  # what v2 calls a weight of 100
DEFAULT_WEIGHT = 100
MAX_WEIGHT = 10_000
USEC_PER_SECOND = 1_000_000
NSEC_PER_USEC = 1000

_NO_QUOTA_TEXT = b"-1\n"
_HEADING = [b"cpu", b"user", b"system"]
_read_ticks = FlatNumbers({b"user": "user", b"system": "system"})

PerCpu = dict[int, tuple[int, int]]


_ACCOUNTED = ("cpuacct.stat", "cpuacct.usage")
_SETTINGS = (
    "cpu.cfs_quota_us",
    "cpu.cfs_period_us",
    "cpu.cfs_burst_us",
    "cpu.shares",
    "cpu.idle",
    "cpu.uclamp.min",
    "cpu.uclamp.max",
)
_QUOTA = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
_STATISTICS = ("cpu.stat",)
_LOCAL_STATISTICS = ("cpu.stat.local",)


def read_cpu(
    source: Source,
    dirs: Dirs,
    user_hz: int | None = None,
    *,
    detail: bool = True,
    per_cpu: bool = True,
    may_wait: bool = True,
) -> Cpu:
    """Read usage from cpuacct, quota and throttling from cpu; either may be missing, but not both."""
    if "cpu" not in dirs and "cpuacct" not in dirs:
        raise Missing("cpu")
    cpu = Cpu()
    if "cpuacct" in dirs:
        cpu = _accounted(source, dirs["cpuacct"], user_hz or _user_hz(), detail=detail, per_cpu=per_cpu)
        if not detail:
            return cpu
    return _scheduled(source, dirs["cpu"], cpu, may_wait=may_wait) if "cpu" in dirs else cpu


def read_quota(source: Source, dirs: Dirs) -> Quota:
    """Read the CFS quota of one level; its period only where there is a quota."""
    directory = directory_of(dirs, "cpu")
    return source.settings(directory, _QUOTA, _quota)


def _quota(quota: bytes | None, period: bytes | None) -> Quota:
    if quota == _NO_QUOTA_TEXT or (usec := signed(needed(quota, _QUOTA[0]))) < 0:
        return NO_QUOTA
    return Quota(usec, integer(needed(period, _QUOTA[1])))


def write_quota(source: Source, dirs: Dirs, quota_usec: int | UnlimitedType, period_usec: int) -> None:
    """Limit CPU time per period; microseconds.

    Lifted first and set last, so that no mixture of old quota and new period is ever in force or refused.
    """
    directory = directory_of(dirs, "cpu")
    source.write(directory, "cpu.cfs_quota_us", b"-1")
    source.write(directory, "cpu.cfs_period_us", b"%d" % period_usec)
    if quota_usec is not UNLIMITED:
        source.write(directory, "cpu.cfs_quota_us", b"%d" % quota_usec)


@cache
def _user_hz() -> int:
    return os.sysconf("SC_CLK_TCK")


def _accounted(source: Source, directory: str, user_hz: int, *, detail: bool, per_cpu: bool) -> Cpu:
    """Read what cpuacct knows.

    User and system time are those of cpuacct.stat, which add up to the usage (cputime_adjust, kernel/sched/cputime.c).
    Those of each CPU in cpuacct.usage_all are what the timer's tick found: on a busy machine their sum is some percent
    off, so they only say how the CPUs compare.
    """
    cpu = source.record(directory, _ACCOUNTED if detail else _ACCOUNTED[:1], _times, user_hz)
    if cpu.usage_usec is None:
        cpu = replace(cpu, usage_usec=integer(source.read(directory, _ACCOUNTED[1])) // NSEC_PER_USEC)
    if not per_cpu:
        return cpu
    shares = _per_cpu(source, directory, cpu)
    return Cpu(usage_usec=cpu.usage_usec, user_usec=cpu.user_usec, system_usec=cpu.system_usec, per_cpu_usec=shares)


def _times(stat: bytes | None, *more: Any) -> Cpu:  # noqa: ANN401
    """Put the totals together; ``more`` is the usage in nanoseconds, if it was read, and USER_HZ."""
    *read, user_hz = more
    ticks = parsed(stat, _read_ticks) or {}
    user, system = _usec_of_ticks(ticks.get("user"), user_hz), _usec_of_ticks(ticks.get("system"), user_hz)
    usage = user + system if user is not None and system is not None else None
    if read:
        usage = integer(needed(read[0], _ACCOUNTED[1])) // NSEC_PER_USEC
    return Cpu(usage_usec=usage, user_usec=user, system_usec=system)


def _per_cpu(source: Source, directory: str, cpu: Cpu) -> PerCpu | None:
    per_cpu = optional(source, directory, "cpuacct.usage_all", _usage_all)
    if per_cpu is not None:
        return per_cpu
    whole = optional(source, directory, "cpuacct.usage_percpu", _usage_percpu)
    return None if whole is None else _divided(whole, cpu.user_usec, cpu.system_usec)


def _scheduled(source: Source, directory: str, accounted: Cpu, *, may_wait: bool) -> Cpu:
    """Add what the cpu controller knows; a kernel without CFS bandwidth control has shares only."""
    settings = source.settings(directory, _SETTINGS, _settings)
    # Without a quota the statistics stand still, until somebody writes one: here, or of waiting in an ancestor.
    free = settings.quota_usec is UNLIMITED
    throttling = (source.settings if free else source.record)(directory, _STATISTICS, _bandwidth)
    if free and not may_wait:
        local = source.settings(directory, _LOCAL_STATISTICS, _local)
    else:
        local = source.record(directory, _LOCAL_STATISTICS, _local)
    return source.record(directory, (), _cpu, accounted, settings, throttling, local)


def _cpu(accounted: Cpu, settings: Cpu, throttling: Throttling | None, local: int | None) -> Cpu:
    return Cpu(
        usage_usec=accounted.usage_usec,
        user_usec=accounted.user_usec,
        system_usec=accounted.system_usec,
        per_cpu_usec=accounted.per_cpu_usec,
        quota_usec=settings.quota_usec,
        period_usec=settings.period_usec,
        burst_usec=settings.burst_usec,
        weight=settings.weight,
        shares=settings.shares,
        idle=settings.idle,
        uclamp_min=settings.uclamp_min,
        uclamp_max=settings.uclamp_max,
        throttling=throttling,
        throttling_local_usec=local,
    )


def _settings(*read: bytes | None) -> Cpu:
    """Make a record of what only a write changes."""
    quota, period, burst, shares, idle, uclamp_min, uclamp_max = read
    number = integer(needed(shares, "cpu.shares"))
    quota_usec = parsed(quota, signed)
    return Cpu(
        quota_usec=UNLIMITED if quota_usec is not None and quota_usec < 0 else quota_usec,
        period_usec=parsed(period, integer),
        burst_usec=parsed(burst, integer),
        weight=_weight(number),
        shares=number,
        idle=parsed(idle, boolean),
        uclamp_min=parsed(uclamp_min, _uclamp),
        uclamp_max=parsed(uclamp_max, _uclamp),
    )


def _bandwidth(stat: bytes | None) -> Throttling | None:
    return parsed(stat, _throttling)


def _local(stat: bytes | None) -> int | None:
    return parsed(stat, _throttled_local)


def _throttling(data: bytes) -> Throttling:
    pairs = flat_keyed(data)
    return Throttling(
        nr_periods=number_of(pairs, b"nr_periods"),
        nr_throttled=number_of(pairs, b"nr_throttled"),
        throttled_usec=_usec_of_nsec(number_of(pairs, b"throttled_time")),
        nr_bursts=number_of(pairs, b"nr_bursts"),
        burst_usec=_usec_of_nsec(number_of(pairs, b"burst_time")),
    )


def _throttled_local(data: bytes) -> int | None:
    return _usec_of_nsec(number_of(flat_keyed(data), b"throttled_time"))


def _usage_all(data: bytes) -> PerCpu:
    """Parse user and system time of each possible CPU; the first line is the heading."""
    fields = data.split()
    if fields[:3] == _HEADING and len(fields) == 3 * data.count(b"\n") and b"".join(fields[3:]).isdigit():
        numbers = list(map(int, fields[3:]))
        return {
            cpu: (user // NSEC_PER_USEC, system // NSEC_PER_USEC)
            for cpu, user, system in zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True)
        }
    return _usage_all_by_line(data)


def _usage_all_by_line(data: bytes) -> PerCpu:
    """Do the same one line at a time, to say which one is malformed."""
    heading, *lines = data.splitlines() or [b""]
    if heading.split() != _HEADING:
        raise ParseError("'cpu user system'", heading)
    per_cpu = {}
    for line in lines:
        fields = line.split()
        if len(fields) != 3:
            raise ParseError("'cpu user system'", line)
        cpu, user, system = map(integer, fields)
        per_cpu[cpu] = user // NSEC_PER_USEC, system // NSEC_PER_USEC
    return per_cpu


def _usage_percpu(data: bytes) -> list[int]:
    """Parse the time of each possible CPU, in order."""
    return [integer(token) // NSEC_PER_USEC for token in data.split()]


def _divided(whole: list[int], user: int | None, system: int | None) -> PerCpu | None:
    """Divide each CPU's time as all CPUs' time together is; None when that is not known."""
    if user is None or system is None:
        return None
    share = user / (user + system) if user + system else 0.5
    return {cpu: (int(usec * share), usec - int(usec * share)) for cpu, usec in enumerate(whole)}


def _weight(shares: int) -> int:
    """Translate shares to v2's scale, as the kernel itself converts between the two (sched_weight_to_cgroup)."""
    return min(max(1, (shares * DEFAULT_WEIGHT + DEFAULT_SHARES // 2) // DEFAULT_SHARES), MAX_WEIGHT)


def _uclamp(data: bytes) -> float:
    return 100.0 if data.strip() == b"max" else percent(data)


def _usec_of_ticks(ticks: int | None, user_hz: int) -> int | None:
    return None if ticks is None else ticks * USEC_PER_SECOND // user_hz


def _usec_of_nsec(nsec: int | None) -> int | None:
    return None if nsec is None else nsec // NSEC_PER_USEC
