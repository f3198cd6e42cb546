"""memory.* of cgroup v2; bytes. Documentation/admin-guide/cgroup-v2.rst, "Memory"; mm/memcontrol.c.

``memory.max`` is ``max`` or ``268435456``; ``memory.stat`` has lines such as ``anon 4096``; ``memory.events``
``oom_kill 0``. The root cgroup has ``memory.stat`` only.
"""

from __future__ import annotations

from dataclasses import fields

from cgroup_model.dialects.optional import directory_of, optional, skipped
from cgroup_model.dialects.records import Dirs, MemoryLevel
from cgroup_model.parse import FlatNumbers, boolean, flat_keyed, integer, limit, numbers
from cgroup_model.snapshot import UNLIMITED, Memory, MemoryEvents, MemoryStat, UnlimitedType
from cgroup_model.source import Source

STAT = {field.name.encode(): field.name for field in fields(MemoryStat)}
EVENTS = {field.name.encode(): field.name for field in fields(MemoryEvents)}

_read_stat = FlatNumbers(STAT)
_read_stat_of_level = FlatNumbers(
    {name.encode(): name for name in ("active_file", "inactive_file", "slab_reclaimable")}
)


def read_memory(source: Source, dirs: Dirs, *, detail: bool = True, swap: bool = True) -> Memory:
    """Read all of the memory controller, or what `Need.MEMORY` asks for; on the root cgroup only ``stat`` is known."""
    directory = directory_of(dirs, "memory")
    stat = MemoryStat.of(_read_stat(source.read(directory, "memory.stat")))
    further = optional if detail else skipped
    of_swap = optional if swap else skipped
    return Memory(
        current=optional(source, directory, "memory.current", integer),
        max=optional(source, directory, "memory.max", limit),
        high=optional(source, directory, "memory.high", limit),
        low=further(source, directory, "memory.low", limit),
        min=further(source, directory, "memory.min", limit),
        peak=further(source, directory, "memory.peak", integer),
        swap_current=of_swap(source, directory, "memory.swap.current", integer),
        swap_max=of_swap(source, directory, "memory.swap.max", limit),
        swap_high=further(source, directory, "memory.swap.high", limit),
        swap_peak=further(source, directory, "memory.swap.peak", integer),
        zswap_current=further(source, directory, "memory.zswap.current", integer),
        zswap_max=further(source, directory, "memory.zswap.max", limit),
        zswap_writeback=further(source, directory, "memory.zswap.writeback", boolean),
        oom_group=further(source, directory, "memory.oom.group", boolean),
        kernel_current=stat.kernel,
        stat=stat,
        events=further(source, directory, "memory.events", _events),
        events_local=further(source, directory, "memory.events.local", _events),
    )


def read_memory_level(source: Source, dirs: Dirs, *, with_stat: bool | None = None, swap: bool = True) -> MemoryLevel:
    """Read limits and usage of one level; Missing on the root cgroup, which has neither."""
    directory = directory_of(dirs, "memory")
    maximum = limit(source.read(directory, "memory.max"))
    high = optional(source, directory, "memory.high", limit)
    swap_max = optional(source, directory, "memory.swap.max", limit) if swap else None
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
