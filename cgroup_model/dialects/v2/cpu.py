"""cpu.* of cgroup v2; microseconds. Documentation/admin-guide/cgroup-v2.rst, "CPU".

``cpu.stat`` exists in every cgroup, also where the cpu controller is off, then without the throttling lines::

    usage_usec 33166327
    user_usec 14351967
    system_usec 18814360

``cpu.max`` is ``max 100000`` or ``50000 100000``: quota and period in microseconds.
"""

from __future__ import annotations

from cgroup_model.dialects.optional import directory_of, needed, parsed
from cgroup_model.dialects.records import NO_QUOTA, Dirs, Quota
from cgroup_model.parse import ParseError, boolean, flat_keyed, integer, limit, number_of, numbers, percent
from cgroup_model.snapshot import UNLIMITED, Cpu, Throttling, UnlimitedType
from cgroup_model.source import Source

USAGE = {name.encode(): name for name in ("usage_usec", "user_usec", "system_usec", "nice_usec")}
THROTTLING = {
    name.encode(): name for name in ("nr_periods", "nr_throttled", "throttled_usec", "nr_bursts", "burst_usec")
}


_STAT = ("cpu.stat",)
_STATS = (*_STAT, "cpu.stat.local")
_QUOTA = ("cpu.max",)
_SETTINGS = (*_QUOTA, "cpu.max.burst", "cpu.weight", "cpu.idle", "cpu.uclamp.min", "cpu.uclamp.max")


def read_cpu(
    source: Source,
    dirs: Dirs,
    *,
    detail: bool = True,
    per_cpu: bool = True,  # noqa: ARG001
    may_wait: bool = True,  # noqa: ARG001
) -> Cpu:
    """Read usage, and where the cpu controller is on also quota, weight and throttling; v2 does not count per CPU."""
    directory = dirs["cpu"] if "cpu" in dirs else directory_of(dirs, "")
    if not detail:
        return source.record(directory, _STAT, _used)
    return source.record(directory, _STATS, _cpu, source.settings(directory, _SETTINGS, _settings))


def _used(stat: bytes | None) -> Cpu:
    return Cpu(**numbers(flat_keyed(needed(stat, _STAT[0])), USAGE))  # type: ignore[arg-type] # all are numbers


def _settings(*read: bytes | None) -> Cpu:
    """Make a record of what only a write changes."""
    maximum, burst, weight, idle, uclamp_min, uclamp_max = read
    quota = parsed(maximum, _quota) or Quota()
    return Cpu(
        quota_usec=quota.quota_usec,
        period_usec=quota.period_usec,
        burst_usec=parsed(burst, integer),
        weight=parsed(weight, integer),
        idle=parsed(idle, boolean),
        uclamp_min=parsed(uclamp_min, _uclamp),
        uclamp_max=parsed(uclamp_max, _uclamp),
    )


def _cpu(stat: bytes | None, local: bytes | None, settings: Cpu) -> Cpu:
    pairs = flat_keyed(needed(stat, _STAT[0]))
    usage, throttling = numbers(pairs, USAGE), numbers(pairs, THROTTLING)
    of_itself = parsed(local, flat_keyed)
    return Cpu(
        usage_usec=usage.get("usage_usec"),
        user_usec=usage.get("user_usec"),
        system_usec=usage.get("system_usec"),
        nice_usec=usage.get("nice_usec"),
        quota_usec=settings.quota_usec,
        period_usec=settings.period_usec,
        burst_usec=settings.burst_usec,
        weight=settings.weight,
        idle=settings.idle,
        uclamp_min=settings.uclamp_min,
        uclamp_max=settings.uclamp_max,
        throttling=Throttling(**throttling) if throttling else None,
        throttling_local_usec=None if of_itself is None else number_of(of_itself, b"throttled_usec"),
    )


def read_quota(source: Source, dirs: Dirs) -> Quota:
    """Read the CFS quota of one level; Missing on the root cgroup and where the cpu controller is off."""
    return source.settings(directory_of(dirs, "cpu"), _QUOTA, _quota_of_level)


def write_quota(source: Source, dirs: Dirs, quota_usec: int | UnlimitedType, period_usec: int) -> None:
    """Limit CPU time per period; microseconds."""
    quota = b"max" if quota_usec is UNLIMITED else b"%d" % quota_usec
    source.write(directory_of(dirs, "cpu"), "cpu.max", b"%s %d" % (quota, period_usec))


def _quota(data: bytes) -> Quota:
    fields = data.split()
    if len(fields) != 2:
        raise ParseError("quota and period", data)
    return Quota(limit(fields[0]), integer(fields[1]))


def _quota_of_level(data: bytes | None) -> Quota:
    quota = _quota(needed(data, _QUOTA[0]))
    return NO_QUOTA if quota.quota_usec is UNLIMITED else quota


def _uclamp(data: bytes) -> float:
    return 100.0 if data.strip() == b"max" else percent(data)
