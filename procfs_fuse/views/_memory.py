"""How a container's memory and swap divide up: the numbers that meminfo and swaps share. Everything in kB.

A container with a limit has that limit as its total; what it does not use is free, as far as its ancestors and the
machine can still give it:

    available = min(what every level could give after reclaim, the machine's MemAvailable, total)
    free      = min(total - usage, available - what the container itself could give back)

so that both ways of computing `used` stay sane: ``total - available`` (procps 4) and ``total - free - buffers -
cached - reclaimable slab`` (procps 3, htop, psutil). Neither goes below zero: cached and slab are cut to what is
not free.

A container without a limit has the machine's memory, so the lines that divide up the total are the machine's own
(MemFree, Buffers, Cached, slab): its own cache beside the machine's free memory would make everybody else's cache
look used. Lines that tell what its processes have (anonymous, mapped, shared, active, ...) are always its own.
"""

from __future__ import annotations

from typing import NamedTuple

from cgroup_model.snapshot import Limit, Memory, MemoryBounds, MemoryStat, Policy, Snapshot
from procfs_fuse.views._host_meminfo import HostMeminfo


class Share(NamedTuple):
    """How the total divides up; kB."""

    total: int
    free: int
    available: int
    buffers: int
    cached: int
    slab_reclaimable: int
    slab_unreclaimable: int

    @property
    def used(self) -> int:
        """All that is not free, cache included."""
        return self.total - self.free


class Swap(NamedTuple):
    """kB."""

    total: int
    free: int

    @property
    def used(self) -> int:
        """What is not free."""
        return self.total - self.free


def kib(size_bytes: int) -> int:
    """Whole kB of a number of bytes."""
    return size_bytes >> 10


def bounded(size_bytes: int | None, line: bytes, host: HostMeminfo, bound_kib: int) -> int:
    """Return a size in kB, the machine's value of the line where it is unknown, but no more than what contains it."""
    value = host[line] if size_bytes is None else size_bytes >> 10
    return value if value < bound_kib else bound_kib  # noqa: FURB136 - min() takes four times as long, for every line


def bounds_of(snapshot: Snapshot, memory: Memory) -> MemoryBounds:
    """Return the bounds over all ancestors, or the container's own limits where the ancestors are unknown."""
    return snapshot.memory_bounds or MemoryBounds(max=memory.max, swap_max=memory.swap_max)


def memory_share(memory: Memory, bounds: MemoryBounds, policy: Policy, host: HostMeminfo) -> Share:
    """Divide up the container's memory. ``host`` has at least MemTotal, above zero."""
    limit = _limit_kib(bounds.max)
    if limit is None:
        return _machine_share(bounds, policy, host)
    total = min(limit, host[b"MemTotal"])
    stat = memory.stat
    host_available = host.get(b"MemAvailable", total)  # before Linux 3.14 there is none
    if memory.current is None:
        available = _least(_available_kib(bounds, policy), host_available, total)
        free = min(host[b"MemFree"], available)
    else:
        used = min(kib(memory.current), total)
        reclaimable = min(kib(_reclaimable(stat, policy)), used)
        could_give = _available_kib(bounds, policy)
        if could_give is None:
            could_give = total - used + reclaimable
        available = min(could_give, host_available, total)
        free = max(0, min(total - used, available - reclaimable))
    cached = bounded(stat.file, b"Cached", host, total - free)
    # Unknown, it counts as used, as in `available`: nothing is promised back that may not come.
    slab_reclaimable = min(kib(stat.slab_reclaimable or 0), total - free - cached)
    slab_unreclaimable = bounded(_unreclaimable(memory), b"SUnreclaim", host, total - free - slab_reclaimable)
    return Share(total, free, available, 0, cached, slab_reclaimable, slab_unreclaimable)


def _machine_share(bounds: MemoryBounds, policy: Policy, host: HostMeminfo) -> Share:
    total = host[b"MemTotal"]
    ancestors = _available_kib(bounds, policy)  # memory.high of some level, if not None
    free = _least(ancestors, host[b"MemFree"], total)
    available = _least(ancestors, host.get(b"MemAvailable", free), total)
    buffers = min(host[b"Buffers"], total - free)
    cached = min(host[b"Cached"], total - free - buffers)
    slab_reclaimable = min(host[b"SReclaimable"], total - free - buffers - cached)
    slab_unreclaimable = min(host[b"SUnreclaim"], total - free - slab_reclaimable)
    return Share(total, free, available, buffers, cached, slab_reclaimable, slab_unreclaimable)


def swap_share(memory: Memory, bounds: MemoryBounds, policy: Policy, host: HostMeminfo) -> Swap:
    """Divide up the container's swap; what others use of the machine's or an ancestor's is not free."""
    if policy.disable_swap:
        return Swap(0, 0)
    total = host[b"SwapTotal"]
    if isinstance(bounds.swap_max, int):
        total = min(total, kib(bounds.swap_max))
    used = kib(memory.swap_current or 0)
    if memory.swappiness == 0:
        # cgroup v1: such a group is not swapped out, so what it has there already is all it will ever have.
        total = min(total, used)
    given = None if bounds.swap_free is None else kib(bounds.swap_free)
    return Swap(total, max(0, _least(given, host[b"SwapFree"], total - used)))


def _limit_kib(limit: Limit) -> int | None:
    """Return None for a container that has the whole machine; a limit of zero must not make a total of zero."""
    return kib(limit) or None if isinstance(limit, int) else None


def _available_kib(bounds: MemoryBounds, policy: Policy) -> int | None:
    size = bounds.available if policy.available == "kernel" else bounds.available_working_set
    return None if size is None else kib(size)


def _reclaimable(stat: MemoryStat, policy: Policy) -> int:
    """Return what the kernel could take back without swapping, as `MemoryBounds` counts it; bytes."""
    active = (stat.active_file or 0) if policy.available == "kernel" else 0
    return active + (stat.inactive_file or 0) + (stat.slab_reclaimable or 0)


def _unreclaimable(memory: Memory) -> int | None:
    """Return slab that cannot be given back; on cgroup v1 all kernel memory, which it does not break down; bytes."""
    stat = memory.stat
    if stat.slab_unreclaimable is not None:
        return stat.slab_unreclaimable
    if stat.slab is not None:
        return max(0, stat.slab - (stat.slab_reclaimable or 0))
    return memory.kernel_current


def _least(given: int | None, *others: int) -> int:
    return min(others) if given is None else min(given, *others)
