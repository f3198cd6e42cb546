"""memory.* of cgroup v1; bytes. Documentation/admin-guide/cgroup-v1/memory.rst; mm/memcontrol-v1.c.

``memory.limit_in_bytes`` ``9223372036854771712`` when unlimited; ``memory.stat`` has ``cache 9224192`` for the cgroup
alone and ``total_cache 525357056`` for the subtree; ``memory.oom_control`` ``oom_kill_disable 0``, ``under_oom 0``,
``oom_kill 0``. ``memory.memsw.*`` count memory and swap together and exist only with swap accounting.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from cgroup_model.dialects.counters import counter_limit, limit_of, swap_alone
from cgroup_model.dialects.optional import directory_of, needed, optional, parsed
from cgroup_model.dialects.records import Dirs, MemoryLevel
from cgroup_model.parse import FlatNumbers, boolean, flat_keyed, integer, number_of
from cgroup_model.snapshot import UNLIMITED, Limit, Memory, MemoryEvents, MemoryStat, UnlimitedType
from cgroup_model.source import Missing, Source

TRANSLATED = {
    "cache": "file",
    "rss": "anon",
    "rss_huge": "anon_thp",
    "mapped_file": "file_mapped",
    "dirty": "file_dirty",
    "writeback": "file_writeback",
}
SAME = (
    "shmem",
    "swapcached",
    "inactive_anon",
    "active_anon",
    "inactive_file",
    "active_file",
    "unevictable",
    "pgpgin",
    "pgpgout",
    "pgfault",
    "pgmajfault",
    "workingset_refault_anon",
    "workingset_refault_file",
    "workingset_activate_anon",
    "workingset_activate_file",
    "workingset_restore_anon",
    "workingset_restore_file",
    "workingset_nodereclaim",
)
STAT = {f"total_{name}".encode(): field for name, field in {**TRANSLATED, **{name: name for name in SAME}}.items()}

_SWAP = "swap"
_HIERARCHICAL = "hierarchical_max"
_read_stat = FlatNumbers({**STAT, b"total_swap": _SWAP})
_read_stat_of_level = FlatNumbers(
    {
        b"total_active_file": "active_file",
        b"total_inactive_file": "inactive_file",
        b"total_swap": _SWAP,
        b"hierarchical_memory_limit": _HIERARCHICAL,
    }
)


_STAT = ("memory.stat",)
_COUNTED = ("memory.usage_in_bytes", "memory.kmem.usage_in_bytes")
_COUNTED_IN_DETAIL = (*_COUNTED, "memory.max_usage_in_bytes", "memory.failcnt", "memory.oom_control")
_LIMIT = ("memory.limit_in_bytes",)
_LIMITS = (*_LIMIT, "memory.memsw.limit_in_bytes", "memory.swappiness")
_LIMITS_IN_DETAIL = (*_LIMITS, "memory.soft_limit_in_bytes")


def read_memory(source: Source, dirs: Dirs, *, detail: bool = True, swap: bool = True) -> Memory:
    """Read all of the memory controller, or what `Need.MEMORY` asks for."""
    directory = directory_of(dirs, "memory")
    limits = source.settings(directory, _LIMITS_IN_DETAIL if detail else _LIMITS if swap else _LIMIT, _limits)
    stat = source.record(directory, _STAT, _stat)  # the kernel adds it up every two seconds, usage changes all the time
    memory = source.record(directory, _COUNTED_IN_DETAIL if detail else _COUNTED, _memory, stat, limits)
    if swap and memory.swap_current is None and memory.current is not None:
        memory = replace(memory, swap_current=_swap_current(source, directory, memory.current, None))
    return memory


class _Limits(NamedTuple):
    """What only a write changes."""

    max: int | UnlimitedType
    swap_max: Limit
    swappiness: int | None
    soft_limit: Limit


def _limits(
    limit: bytes | None, memsw: bytes | None = None, swappiness: bytes | None = None, soft: bytes | None = None
) -> _Limits:
    maximum = counter_limit(needed(limit, _LIMIT[0]))
    both = parsed(memsw, counter_limit)
    swap_max = None if both is None else swap_alone(both, maximum)
    return _Limits(maximum, swap_max, parsed(swappiness, integer), parsed(soft, counter_limit))


class _Stat(NamedTuple):
    """What ``memory.stat`` says."""

    numbers: MemoryStat
    swapped: int | None


def _stat(stat: bytes | None) -> _Stat:
    numbers = _read_stat(needed(stat, _STAT[0]))
    swapped = numbers.pop(_SWAP, None)
    return _Stat(MemoryStat.of(numbers), swapped)


def _memory(usage: bytes | None, kernel: bytes | None, *more: Any) -> Memory:  # noqa: ANN401
    """Put the record together; ``more`` are the files of the detail, if read, ``memory.stat`` and the limits."""
    *in_detail, stat, limits = more
    peak, failcnt, oom_control = in_detail or (None, None, None)
    oom = parsed(oom_control, flat_keyed) or {}
    events = _events(oom)
    return Memory(
        current=integer(needed(usage, _COUNTED[0])),
        max=limits.max,
        peak=parsed(peak, integer),
        swap_current=stat.swapped,
        swap_max=limits.swap_max,
        oom_kill_disable=_flag(oom, b"oom_kill_disable"),
        under_oom=_flag(oom, b"under_oom"),
        failcnt=parsed(failcnt, integer),
        swappiness=limits.swappiness,
        kernel_current=parsed(kernel, integer),
        stat=stat.numbers,
        events=events,
        events_local=events,
        soft_limit=limits.soft_limit,
    )


def read_memory_level(source: Source, dirs: Dirs, *, with_stat: bool | None = None, swap: bool = True) -> MemoryLevel:
    """Read limits and usage of one level."""
    directory = directory_of(dirs, "memory")
    limits = source.settings(directory, _LIMITS if swap else _LIMIT, _limits)
    maximum, swap_max = limits.max, limits.swap_max
    limited = isinstance(maximum, int) or isinstance(swap_max, int)
    if with_stat is None and not limited:
        return MemoryLevel(max=maximum, swap_max=swap_max)
    current = integer(source.read(directory, "memory.usage_in_bytes"))
    stat = _read_stat_of_level(source.read(directory, "memory.stat")) if with_stat is not False else {}
    hierarchical, swapped = stat.get(_HIERARCHICAL), stat.get(_SWAP)
    return MemoryLevel(
        max=maximum,
        current=current,
        active_file=stat.get("active_file"),
        inactive_file=stat.get("inactive_file"),
        swap_max=swap_max,
        swap_current=_swap_current(source, directory, current, swapped) if swap else swapped,
        hierarchical_max=None if hierarchical is None else limit_of(hierarchical),
    )


def read_slabinfo(source: Source, dirs: Dirs) -> bytes | None:
    """Read ``memory.kmem.slabinfo``; since Linux 5.9 ("mm: memcg/slab: deprecate memory.kmem.slabinfo") it is empty."""
    return optional(source, directory_of(dirs, "memory"), "memory.kmem.slabinfo", bytes) or None


def write_memory_max(source: Source, dirs: Dirs, limit: int | UnlimitedType) -> None:
    """Limit memory, and move the limit of memory and swap along, so that swap alone may be what it was; bytes.

    The kernel insists on memory <= memory and swap at every moment: so the order depends on the direction.
    """
    directory = directory_of(dirs, "memory")
    before = counter_limit(source.read(directory, "memory.limit_in_bytes"))
    swap = _swap_max(source, directory, before)
    names = ["memory.limit_in_bytes"]
    if swap is not None:
        raising = limit is UNLIMITED or (before is not UNLIMITED and limit > before)
        names.insert(0 if raising else 1, "memory.memsw.limit_in_bytes")
    for name in names:
        both = name == "memory.memsw.limit_in_bytes"
        source.write(directory, name, _limit_bytes(_sum(limit, swap) if both else limit))


def write_memory_high(source: Source, dirs: Dirs, limit: int | UnlimitedType) -> None:  # noqa: ARG001
    """Raise `Missing`: nothing in v1 throttles before the limit (soft limits only order global reclaim)."""
    raise Missing("memory.high")


def write_swap_max(source: Source, dirs: Dirs, limit: int | UnlimitedType) -> None:
    """Limit swap to ``limit`` beside the memory limit in force; EINVAL when memory itself is unlimited."""
    directory = directory_of(dirs, "memory")
    memory = counter_limit(source.read(directory, "memory.limit_in_bytes"))
    if memory is UNLIMITED and limit is not UNLIMITED:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), f"{directory}/memory.memsw.limit_in_bytes")
    source.write(directory, "memory.memsw.limit_in_bytes", _limit_bytes(_sum(memory, limit)))


def _events(oom: Mapping[bytes, bytes]) -> MemoryEvents | None:
    """Take local events for both: v1 counts an OOM kill in the cgroup of the victim only."""
    kills = number_of(oom, b"oom_kill")
    return None if kills is None else MemoryEvents(oom_kill=kills)


def _flag(pairs: Mapping[bytes, bytes], key: bytes) -> bool | None:
    value = pairs.get(key)
    return None if value is None else boolean(value)


def _swap_max(source: Source, directory: str, memory: int | UnlimitedType) -> Limit:
    memsw = optional(source, directory, "memory.memsw.limit_in_bytes", counter_limit)
    return None if memsw is None else swap_alone(memsw, memory)


def _swap_current(source: Source, directory: str, current: int, swapped: int | None) -> int | None:
    """Prefer memory.stat when it was read: memory and swap together is read at another moment than memory."""
    if swapped is not None:
        return swapped
    memsw = optional(source, directory, "memory.memsw.usage_in_bytes", integer)
    return None if memsw is None else max(0, memsw - current)


def _sum(memory: int | UnlimitedType, swap: Limit) -> int | UnlimitedType:
    return UNLIMITED if memory is UNLIMITED or swap is UNLIMITED else memory + (swap or 0)


def _limit_bytes(limit: int | UnlimitedType) -> bytes:
    return b"-1" if limit is UNLIMITED else b"%d" % limit
