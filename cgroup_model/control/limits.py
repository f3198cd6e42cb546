"""Setting limits."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass

from cgroup_model.control.errors import failure
from cgroup_model.control.group import Group
from cgroup_model.dialects import Dialect
from cgroup_model.mounts import Mounts
from cgroup_model.parse import ParseError, format_id_list, id_list
from cgroup_model.snapshot import UNLIMITED, UnlimitedType

PERIOD_USEC = 100_000  # the kernel's default; a quota is a share of it
LEAST_QUOTA_USEC = 1000  # the kernel refuses less (kernel/sched/core.c, min_cfs_quota_period)
LEAST_CPUS = LEAST_QUOTA_USEC / PERIOD_USEC
MOST_CPUS = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """What a cgroup may use; None leaves a resource as it is."""

    memory_bytes: int | UnlimitedType | None = None
    swap_bytes: int | UnlimitedType | None = None  # swap alone
    cpus: float | UnlimitedType | None = None  # 0.5 is half of one CPU's time
    cpuset: str | None = None  # CPUs: "0-3,8"
    pids: int | UnlimitedType | None = None  # threads


def apply(mounts: Mounts, path: str, limits: Limits) -> None:
    """Set the limits that are not None."""
    group = Group(mounts, path)
    if limits.memory_bytes is not None:  # before swap: v1 limits the two together
        _require(path, limits.memory_bytes, "memory")
        with group.changing(
            "memory", "limit memory of", {errno.EBUSY: "more is in use and cannot be reclaimed"}
        ) as dialect:
            dialect.write_memory_max(group.source, group.dirs, limits.memory_bytes)
    if limits.swap_bytes is not None:
        _require(path, limits.swap_bytes, "swap")
        why = {errno.EINVAL: "cgroup v1 limits swap only together with memory: set a memory limit as well"}
        with group.changing("memory", "limit swap of", why) as dialect:
            dialect.write_swap_max(group.source, group.dirs, limits.swap_bytes)
    if limits.cpus is not None:
        quota = _quota_usec(path, limits.cpus)
        why = {errno.EINVAL: "on cgroup v1 a parent allows less, or the kernel allows no such quota"}
        with group.changing("cpu", "limit CPU time of", why) as dialect:
            dialect.write_quota(group.source, group.dirs, quota, PERIOD_USEC)
    if limits.cpuset is not None:
        with group.changing("cpuset", "choose CPUs of") as dialect:
            cpus = _checked_cpus(group, dialect, limits.cpuset)
            dialect.write_cpuset(group.source, group.dirs, cpus)
    if limits.pids is not None:
        _require(path, limits.pids, "tasks")
        with group.changing("pids", "limit tasks of") as dialect:
            dialect.write_pids_max(group.source, group.dirs, limits.pids)


def limit_writes(mounts: Mounts, path: str, device: tuple[int, int], bytes_per_second: int | UnlimitedType) -> None:
    """Limit what is written to a disk (major, minor), from when on v1 counts its I/O, too."""
    group = Group(mounts, path)
    _require(path, bytes_per_second, "writes")
    if not os.path.exists("/sys/dev/block/{}:{}".format(*device)):  # ENODEV, as of a cgroup that is gone
        raise failure("limit writes of", path, "{}:{} is no disk".format(*device))
    with group.changing("io", "limit writes of") as dialect:
        dialect.write_wbps_max(group.source, group.dirs, device, bytes_per_second)


def _checked_cpus(group: Group, dialect: Dialect, cpus: str) -> str:
    """Refuse CPUs that the parent does not have: v1 says EINVAL only, and v2 would silently use all."""
    try:
        asked = id_list(cpus.encode(errors="replace"))
    except ParseError as error:
        raise failure("choose CPUs of", group.path, f"{cpus!r} is no list such as 0-3,8") from error
    parent = os.path.dirname(group.path.rstrip("/"))
    allowed = dialect.read_cpuset(group.source, group.dirs_of(parent)).cpus_effective or ()
    if not asked or set(asked) - set(allowed):
        theirs = format_id_list(allowed)
        raise failure("choose CPUs of", group.path, f"{cpus!r} is not among those of {parent!r}, which are {theirs}")
    return format_id_list(asked)


def _quota_usec(path: str, cpus: float | UnlimitedType) -> int | UnlimitedType:
    if cpus is UNLIMITED:
        return UNLIMITED
    if not LEAST_CPUS <= cpus < MOST_CPUS:  # written so that NaN is refused, too
        raise failure("limit CPU time of", path, f"{cpus:g} CPUs; it takes {LEAST_CPUS:g} or more")
    return round(cpus * PERIOD_USEC)


def _require(path: str, amount: int | UnlimitedType, what: str) -> None:
    if amount is not UNLIMITED and not 0 <= amount < 1 << 63:
        raise failure(f"limit {what} of", path, f"{amount} is out of range")
