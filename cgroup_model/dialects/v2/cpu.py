"""cpu.* of cgroup v2; microseconds. Documentation/admin-guide/cgroup-v2.rst, "CPU".

``cpu.stat`` exists in every cgroup, also where the cpu controller is off, then without the throttling lines::

    usage_usec 33166327
    user_usec 14351967
    system_usec 18814360

``cpu.max`` is ``max 100000`` or ``50000 100000``: quota and period in microseconds.
"""

from __future__ import annotations

from cgroup_model.dialects.optional import directory_of, optional, optional_number
from cgroup_model.dialects.records import NO_QUOTA, Dirs, Quota
from cgroup_model.parse import ParseError, boolean, flat_keyed, integer, limit, numbers, percent
from cgroup_model.snapshot import UNLIMITED, Cpu, Throttling, UnlimitedType
from cgroup_model.source import Source

USAGE = {name.encode(): name for name in ("usage_usec", "user_usec", "system_usec", "nice_usec")}
THROTTLING = {
    name.encode(): name for name in ("nr_periods", "nr_throttled", "throttled_usec", "nr_bursts", "burst_usec")
}


def read_cpu(source: Source, dirs: Dirs, *, detail: bool = True) -> Cpu:
    """Read usage, and where the cpu controller is on also quota, weight and throttling."""
    directory = dirs["cpu"] if "cpu" in dirs else directory_of(dirs, "")
    pairs = flat_keyed(source.read(directory, "cpu.stat"))
    usage = numbers(pairs, USAGE)
    if not detail:
        return Cpu(
            usage_usec=usage.get("usage_usec"),
            user_usec=usage.get("user_usec"),
            system_usec=usage.get("system_usec"),
            nice_usec=usage.get("nice_usec"),
        )
    throttling = numbers(pairs, THROTTLING)
    quota = optional(source, directory, "cpu.max", _quota) or Quota()
    return Cpu(
        usage_usec=usage.get("usage_usec"),
        user_usec=usage.get("user_usec"),
        system_usec=usage.get("system_usec"),
        nice_usec=usage.get("nice_usec"),
        quota_usec=quota.quota_usec,
        period_usec=quota.period_usec,
        burst_usec=optional(source, directory, "cpu.max.burst", integer),
        weight=optional(source, directory, "cpu.weight", integer),
        idle=optional(source, directory, "cpu.idle", boolean),
        uclamp_min=optional(source, directory, "cpu.uclamp.min", _uclamp),
        uclamp_max=optional(source, directory, "cpu.uclamp.max", _uclamp),
        throttling=Throttling(**throttling) if throttling else None,
        throttling_local_usec=optional_number(source, directory, "cpu.stat.local", b"throttled_usec"),
    )


def read_quota(source: Source, dirs: Dirs) -> Quota:
    """Read the CFS quota of one level; Missing on the root cgroup and where the cpu controller is off."""
    quota = _quota(source.read(directory_of(dirs, "cpu"), "cpu.max"))
    return NO_QUOTA if quota.quota_usec is UNLIMITED else quota


def write_quota(source: Source, dirs: Dirs, quota_usec: int | UnlimitedType, period_usec: int) -> None:
    """Limit CPU time per period; microseconds."""
    quota = b"max" if quota_usec is UNLIMITED else b"%d" % quota_usec
    source.write(directory_of(dirs, "cpu"), "cpu.max", b"%s %d" % (quota, period_usec))


def _quota(data: bytes) -> Quota:
    fields = data.split()
    if len(fields) != 2:
        raise ParseError("quota and period", data)
    return Quota(limit(fields[0]), integer(fields[1]))


def _uclamp(data: bytes) -> float:
    return 100.0 if data.strip() == b"max" else percent(data)
