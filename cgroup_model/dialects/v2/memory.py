"""memory.* of cgroup v2; bytes. Documentation/admin-guide/cgroup-v2.rst, "Memory"; mm/memcontrol.c.

``memory.max`` is ``max`` or ``268435456``; ``memory.stat`` has lines such as ``anon 4096``; ``memory.events``
``oom_kill 0``. The root cgroup has ``memory.stat`` only.
"""

from __future__ import annotations

from dataclasses import fields
from functools import partial
from typing import Any, NamedTuple

from cgroup_model.dialects.optional import directory_of, needed, optional, parsed, skipped
from cgroup_model.dialects.records import Dirs, MemoryLevel
from cgroup_model.parse import FlatNumbers, boolean, flat_keyed, integer, limit, numbers
from cgroup_model.snapshot import UNLIMITED, Memory, MemoryEvents, MemoryStat, SwapEvents, UnlimitedType
from cgroup_model.source import Missing, Source

STAT = {field.name.encode(): field.name for field in fields(MemoryStat)}
SWAP_EVENTS = {field.name.encode(): field.name for field in fields(SwapEvents)}
EVENTS = {field.name.encode(): field.name for field in fields(MemoryEvents)}

_read_stat = FlatNumbers(STAT)
_read_stat_of_level = FlatNumbers(
    {name.encode(): name for name in ("active_file", "inactive_file", "slab_reclaimable")}
)


_STAT = ("memory.stat",)
_COUNTED = ("memory.current",)
_SWAPPED = ("memory.swap.current",)
_DETAIL = (
    "memory.peak",
    "memory.swap.peak",
    "memory.zswap.current",
    "memory.events",
    "memory.events.local",
    "memory.swap.events",
)
_LIMITS = ("memory.max", "memory.high")
_SWAP_LIMIT = ("memory.swap.max",)
_LIMITS_IN_DETAIL = (
    "memory.low",
    "memory.min",
    "memory.swap.high",
    "memory.zswap.max",
    "memory.zswap.writeback",
    "memory.oom.group",
)


def read_memory(source: Source, dirs: Dirs, *, detail: bool = True, swap: bool = True) -> Memory:
    """Read all of the memory controller, or what `Need.MEMORY` asks for; on the root cgroup only ``stat`` is known."""
    directory = directory_of(dirs, "memory")
    names = _COUNTED + (_SWAPPED if swap else ()) + (_DETAIL if detail else ())
    settings = _LIMITS + (_SWAP_LIMIT if swap else ()) + (_LIMITS_IN_DETAIL if detail else ())
    way = _Way(swap, detail)
    limits = source.settings(directory, settings, _PARSE_LIMITS[way])
    stat = source.record(directory, _STAT, _stat)  # the kernel adds it up every two seconds, usage changes all the time
    return source.record(directory, names, _PARSE[way], stat, limits)


class _Way(NamedTuple):
    """What is asked for."""

    swap: bool
    detail: bool


def _limits(way: _Way, maximum: bytes | None, high: bytes | None, *more: bytes | None) -> Memory:
    """Make a record of what only a write changes."""
    swap_max = more[0] if way.swap else None
    low, minimum, swap_high, zswap_max, writeback, group = more[way.swap :] if way.detail else (None,) * 6
    return Memory(
        max=parsed(maximum, limit),
        high=parsed(high, limit),
        swap_max=parsed(swap_max, limit),
        low=parsed(low, limit),
        min=parsed(minimum, limit),
        swap_high=parsed(swap_high, limit),
        zswap_max=parsed(zswap_max, limit),
        zswap_writeback=parsed(writeback, boolean),
        oom_group=parsed(group, boolean),
    )


def _stat(stat: bytes | None) -> MemoryStat:
    return MemoryStat.of(_read_stat(needed(stat, _STAT[0])))


def _memory(way: _Way, current: bytes | None, *more: Any) -> Memory:  # noqa: ANN401
    """Put the record together; ``more`` are the files that were asked for, ``memory.stat`` and the limits."""
    *read, stat, limits = more
    swapped = read[0] if way.swap else None
    peak, swap_peak, zswap, events, events_local, swap_events = read[way.swap :] if way.detail else (None,) * 6
    return Memory(
        current=parsed(current, integer),
        max=limits.max,
        high=limits.high,
        low=limits.low,
        min=limits.min,
        peak=parsed(peak, integer),
        swap_current=parsed(swapped, integer),
        swap_max=limits.swap_max,
        swap_high=limits.swap_high,
        swap_peak=parsed(swap_peak, integer),
        zswap_current=parsed(zswap, integer),
        zswap_max=limits.zswap_max,
        zswap_writeback=limits.zswap_writeback,
        oom_group=limits.oom_group,
        kernel_current=stat.kernel,
        stat=stat,
        events=parsed(events, _events),
        events_local=parsed(events_local, _events),
        swap_events=parsed(swap_events, _swap_events),
    )


_WAYS = [_Way(swap, detail) for swap in (False, True) for detail in (False, True)]
# Made once: what a record was made by is a part of what it is remembered by.
_PARSE = {way: partial(_memory, way) for way in _WAYS}
_PARSE_LIMITS = {way: partial(_limits, way) for way in _WAYS}
_LEVEL_LIMITS = {way.swap: parse for way, parse in _PARSE_LIMITS.items() if not way.detail}


def read_memory_level(source: Source, dirs: Dirs, *, with_stat: bool | None = None, swap: bool = True) -> MemoryLevel:
    """Read limits and usage of one level; Missing on the root cgroup, which has neither."""
    directory = directory_of(dirs, "memory")
    limits = source.settings(directory, _LIMITS + _SWAP_LIMIT if swap else _LIMITS, _LEVEL_LIMITS[swap])
    maximum, high, swap_max = limits.max, limits.high, limits.swap_max
    if maximum is None:
        raise Missing(_LIMITS[0])
    limited = isinstance(maximum, int) or isinstance(high, int)
    wanted = limited if with_stat is None else with_stat
    stat = _read_stat_of_level(source.read(directory, "memory.stat")) if wanted else {}
    usage = optional if limited or with_stat is not None else skipped
    swap_usage = optional if isinstance(swap_max, int) or (swap and with_stat is not None) else skipped
    return MemoryLevel(
        max=maximum,
        high=high,
        current=usage(source, directory, "memory.current", integer),
        active_file=stat.get("active_file"),
        inactive_file=stat.get("inactive_file"),
        slab_reclaimable=stat.get("slab_reclaimable"),
        swap_max=swap_max,
        swap_current=swap_usage(source, directory, "memory.swap.current", integer),
    )


def read_slabinfo(source: Source, dirs: Dirs) -> bytes | None:  # noqa: ARG001
    """Return nothing: v2 never listed slabs per cgroup."""
    return None


def write_memory_max(source: Source, dirs: Dirs, limit: int | UnlimitedType) -> None:
    """Limit memory; bytes."""
    _write(source, dirs, "memory.max", limit)


def write_memory_high(source: Source, dirs: Dirs, limit: int | UnlimitedType) -> None:
    """Throttle and reclaim above this; bytes."""
    _write(source, dirs, "memory.high", limit)


def write_swap_max(source: Source, dirs: Dirs, limit: int | UnlimitedType) -> None:
    """Limit swap; bytes."""
    _write(source, dirs, "memory.swap.max", limit)


def _write(source: Source, dirs: Dirs, name: str, limit: int | UnlimitedType) -> None:
    source.write(directory_of(dirs, "memory"), name, b"max" if limit is UNLIMITED else b"%d" % limit)


def _events(data: bytes) -> MemoryEvents:
    return MemoryEvents(**numbers(flat_keyed(data), EVENTS))


def _swap_events(data: bytes) -> SwapEvents:
    return SwapEvents(**numbers(flat_keyed(data), SWAP_EVENTS))
