"""What a cgroup may really have: its own limits and those of every ancestor, minimised. Pure arithmetic.

A limit of an ancestor binds all cgroups below it together, so what is left is worked out level by level with the usage
of that level: a sibling that fills the parent takes from us too.

Kernel: mm/page_counter.c (try_charge goes up through all parents), mm/memcontrol.c (high), kernel/sched/fair.c
(throttling of parents), kernel/cgroup/pids.c.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TypeVar

from cgroup_model.dialects.records import NO_QUOTA, MemoryLevel, Quota
from cgroup_model.snapshot import UNLIMITED, Limit, Memory, MemoryBounds, ShownCpus, UnlimitedType

Number = TypeVar("Number", int, float)

MemoryLevels = Iterable[tuple[str | None, MemoryLevel]]
"""(path, level), innermost first; the path None stands for ancestors that are out of sight."""

_QUOTA_NOISE = 5e-7  # CPUs; half of the smallest step, 1 us in the longest period, 1 s: 2.0000001 was meant to be 2

ROOT_MEMORY = MemoryLevel(max=UNLIMITED, high=UNLIMITED, swap_max=UNLIMITED)
ROOT_QUOTA = NO_QUOTA
"""What the real root of a hierarchy allows: no kernel has limits there."""


def minimum(
    limits: Iterable[tuple[str | None, Number | UnlimitedType | None]],
) -> tuple[Number | UnlimitedType | None, str | None]:
    """Return the smallest limit and the path that sets it, of equal ones the first.

    `UNLIMITED` when some level says so and none has a number; None when no level says anything.
    """
    best: Number | None = None
    origin: str | None = None
    unlimited = False
    for path, limit in limits:
        if limit is UNLIMITED:
            unlimited = True
        elif limit is not None and (best is None or limit < best):
            best, origin = limit, path
    if best is None and unlimited:
        return UNLIMITED, None
    return best, origin


def as_level(memory: Memory) -> MemoryLevel:
    """Turn a cgroup's own memory record into a level, so that its files are not read twice."""
    stat = memory.stat
    return MemoryLevel(
        max=memory.max,
        high=memory.high,
        current=memory.current,
        active_file=stat.active_file,
        inactive_file=stat.inactive_file,
        slab_reclaimable=stat.slab_reclaimable,
        swap_max=memory.swap_max,
        swap_current=memory.swap_current,
    )


def is_limited(level: MemoryLevel) -> bool:
    """Tell whether this level limits memory, by throttling included."""
    return isinstance(level.max, int) or isinstance(level.high, int)


def adds_nothing(memory: Memory, above: MemoryBounds) -> bool:
    """Tell whether a cgroup's own record changes nothing of what its ancestors allow: it has no limit."""
    return (
        (memory.max is None or (memory.max is UNLIMITED and above.max is not None))
        and (memory.high is None or (memory.high is UNLIMITED and above.high is not None))
        and (memory.swap_max is None or (memory.swap_max is UNLIMITED and above.swap_max is not None))
    )


def own_bounds(path: str, memory: Memory, above: MemoryBounds) -> MemoryBounds | None:
    """Return the bounds of a cgroup that alone has a limit, of memory and not of swap; None for any other.

    The usual case, and asked for at every read of meminfo: without going over the levels once more.
    """
    limit, current = memory.max, memory.current
    if (
        not isinstance(limit, int)
        or current is None
        or above.max is not UNLIMITED
        or isinstance(memory.high, int)
        or isinstance(above.high, int)
        or isinstance(memory.swap_max, int)
        or isinstance(above.swap_max, int)
    ):
        return None
    stat = memory.stat
    inactive = (stat.inactive_file or 0) + (stat.slab_reclaimable or 0)
    left = limit - current
    return MemoryBounds(
        max=limit,
        max_origin=path,
        high=UNLIMITED if memory.high is UNLIMITED else above.high,
        free=max(0, left),
        available=max(0, min(limit, left + inactive + (stat.active_file or 0))),
        available_working_set=max(0, min(limit, left + inactive)),
        swap_max=UNLIMITED if memory.swap_max is UNLIMITED else above.swap_max,
    )


def memory_bounds(levels: MemoryLevels) -> MemoryBounds:
    """Minimise limits, and what is left of them, over all levels."""
    levels = list(levels)
    levels += _unseen(levels)
    if not any(map(_binds, levels)):
        return _unbound(levels)
    maximum, max_origin = minimum([(path, level.max) for path, level in levels])
    high, high_origin = minimum([(path, level.high) for path, level in levels])
    swap_max, swap_max_origin = minimum([(path, level.swap_max) for path, level in levels])
    # Most levels have no limit: they are looked at no further, since this is done for every read of meminfo.
    limited = [level for _path, level in levels if is_limited(level)]
    swap_limited = [level for _path, level in levels if isinstance(level.swap_max, int)]
    return MemoryBounds(
        max=maximum,
        max_origin=max_origin,
        high=high,
        high_origin=high_origin,
        free=_least([_left(level.max, level.current) for level in limited], maximum),
        available=_least([_available(level, level.active_file) for level in limited], maximum, high),
        available_working_set=_least([_available(level, 0) for level in limited], maximum, high),
        swap_max=swap_max,
        swap_max_origin=swap_max_origin,
        swap_free=_least([_left(level.swap_max, level.swap_current) for level in swap_limited], swap_max),
    )


def _binds(row: tuple[str | None, MemoryLevel]) -> bool:
    level = row[1]
    return isinstance(level.max, int) or isinstance(level.high, int) or isinstance(level.swap_max, int)


def _unbound(levels: MemoryLevels) -> MemoryBounds:
    """Return the bounds where no level has a limit."""
    found = [level for _path, level in levels]
    return MemoryBounds(
        max=UNLIMITED if any(level.max is UNLIMITED for level in found) else None,
        high=UNLIMITED if any(level.high is UNLIMITED for level in found) else None,
        swap_max=UNLIMITED if any(level.swap_max is UNLIMITED for level in found) else None,
    )


def shown_cpus(usable: tuple[int, ...], quotas: Iterable[tuple[str | None, Quota]], *, cut_to_quota: bool) -> ShownCpus:
    """Choose the CPUs to show: ``usable`` (cpuset and online, never empty), cut to the effective quota rounded up."""
    quota, origin = minimum([(path, _cpus_of(quota)) for path, quota in quotas])
    physical = usable
    if cut_to_quota and isinstance(quota, float):
        physical = usable[: max(1, math.ceil(quota - _QUOTA_NOISE))]
    return ShownCpus(physical=physical, usable=usable, quota_cpus=quota, quota_origin=origin)


def _unseen(levels: MemoryLevels) -> list[tuple[str | None, MemoryLevel]]:
    """Make levels of what v1 tells about ancestors that no mount shows: their limit, but nobody's usage above ours."""
    return [
        (
            None,
            MemoryLevel(
                max=level.hierarchical_max,
                current=level.current,
                active_file=level.active_file,
                inactive_file=level.inactive_file,
                slab_reclaimable=level.slab_reclaimable,
            ),
        )
        for _path, level in levels
        if isinstance(level.hierarchical_max, int)
    ]


def _least(amounts: Iterable[int | None], *limits: Limit) -> int | None:
    """Return the smallest known amount, above no limit even where the usage at that limit is unknown."""
    known = [amount for amount in amounts if amount is not None]
    return min(known + [limit for limit in limits if isinstance(limit, int)]) if known else None


def _left(limit: Limit, current: int | None) -> int | None:
    """Subtract usage from a limit; usage may be above a limit that was lowered."""
    return max(0, limit - current) if isinstance(limit, int) and current is not None else None


def _available(level: MemoryLevel, active_file: int | None) -> int | None:
    """Tell what one level leaves once all that can be is reclaimed; unknown parts are not promised."""
    limit = level.max if isinstance(level.max, int) else level.high
    if not isinstance(limit, int) or level.current is None:
        return None
    if isinstance(level.high, int) and level.high < limit:
        limit = level.high
    reclaimable = (active_file or 0) + (level.inactive_file or 0) + (level.slab_reclaimable or 0)
    # The files are read one after the other: what is reclaimable may have grown above the usage read before.
    return max(0, min(limit, limit - level.current + reclaimable))


def _cpus_of(quota: Quota) -> float | UnlimitedType | None:
    if quota.quota_usec is UNLIMITED:
        return UNLIMITED
    if quota.quota_usec is None or not quota.period_usec:
        return None
    return quota.quota_usec / quota.period_usec
