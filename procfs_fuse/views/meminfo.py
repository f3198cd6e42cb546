"""/proc/meminfo: the container's memory under its effective limit, not the machine's.

Kernel: fs/proc/meminfo.c; kB of 1024 bytes, huge pages in pages.

    MemTotal:         262144 kB
    MemFree:          183552 kB
    HugePages_Total:       0

The machine's lines stay, in its order; docs/files.md tells of each whether it is virtual, zero or the machine's.
A line this table does not know, from a newer kernel, is passed through. What the container's controller does not
count shows as the machine's value, cut to what contains it: the smallest number known not to be below the truth.
"""

from __future__ import annotations

from cgroup_model.snapshot import Hugetlb, Memory, Need, Snapshot
from procfs_fuse.views._host_meminfo import HostMeminfo, parse
from procfs_fuse.views._memory import Share, Swap, bounded, bounds_of, kib, memory_share, swap_share

PATH = "proc/meminfo"
NEEDS = Need.MEMORY | Need.HUGETLB | Need.HOST_MEMINFO
OPTIONAL = Need.HUGETLB  # rarely delegated; then the container has no huge pages of its own
CACHEABLE = True

# The machine's own matters, of which no container has a share.
_ZERO = dict.fromkeys(
    (
        b"NFS_Unstable",
        b"Bounce",
        b"WritebackTmp",
        b"HardwareCorrupted",
        b"Balloon",
        b"CmaTotal",
        b"CmaFree",
        b"Unaccepted",
        b"Quicklists",
        b"EarlyMemtestBad",
        b"GPUActive",
        b"GPUReclaim",
        b"HighTotal",
        b"HighFree",
        *(b"DirectMap" + size for size in (b"4k", b"64k", b"1M", b"2M", b"4M", b"1G", b"2G")),
    ),
    0,
)
# Huge pages are not part of MemTotal: a machine's pool beside a small total would break who subtracts the two.
_NO_HUGE_PAGES = dict.fromkeys(
    (b"HugePages_Total", b"HugePages_Free", b"HugePages_Rsvd", b"HugePages_Surp", b"Hugetlb"), 0
)


def render(snapshot: Snapshot) -> bytes:
    """Return the file; the machine's values if the container's memory is unknown. Same length for every container."""
    if snapshot.host.meminfo is None:
        return b""
    host = parse(snapshot.host.meminfo)
    if snapshot.memory is None or not host[b"MemTotal"]:
        return host.rendered(_fitting(host))
    return host.rendered(_changes(snapshot, snapshot.memory, host))


def _fitting(host: HostMeminfo) -> dict[bytes, int]:
    """Cut the one line of the machine that can outgrow the room for its total: promises are free."""
    most = host[b"MemTotal"] + host[b"SwapTotal"]
    return {b"Committed_AS": min(most, host[b"Committed_AS"])} if most else {}


def _changes(snapshot: Snapshot, memory: Memory, host: HostMeminfo) -> dict[bytes, int]:
    bounds = bounds_of(snapshot, memory)
    share = memory_share(memory, bounds, snapshot.policy, host)
    swap = swap_share(memory, bounds, snapshot.policy, host)
    pages = _pages(memory, share, host)
    touched = pages[b"AnonPages"] + pages[b"Shmem"]
    return {
        **_ZERO,
        b"MemTotal": share.total,
        b"MemFree": share.free,
        b"MemAvailable": share.available,
        b"LowTotal": share.total,
        b"LowFree": share.free,
        b"Buffers": share.buffers,
        b"Cached": share.cached,
        b"SReclaimable": share.slab_reclaimable,
        b"KReclaimable": share.slab_reclaimable,
        b"SUnreclaim": share.slab_unreclaimable,
        b"Slab": share.slab_reclaimable + share.slab_unreclaimable,
        **_lists(memory, share, host),
        **pages,
        **_kernel(memory, share, pages[b"AnonPages"], host),
        **_swap(snapshot, memory, swap, host),
        **_commit(memory, share, swap, touched, host),
        **(_huge_pages(snapshot.hugetlb, host) if snapshot.hugetlb else _NO_HUGE_PAGES),
    }


def _lists(memory: Memory, share: Share, host: HostMeminfo) -> dict[bytes, int]:
    """Pages by reclaim list; together never more than what is used."""
    stat, room = memory.stat, share.used
    lines: dict[bytes, int] = {}
    for line, size in (
        (b"Active(anon)", stat.active_anon),
        (b"Inactive(anon)", stat.inactive_anon),
        (b"Active(file)", stat.active_file),
        (b"Inactive(file)", stat.inactive_file),
        (b"Unevictable", stat.unevictable),
    ):
        lines[line] = bounded(size, line, host, room)
        room -= lines[line]
    lines[b"Active"] = lines[b"Active(anon)"] + lines[b"Active(file)"]
    lines[b"Inactive"] = lines[b"Inactive(anon)"] + lines[b"Inactive(file)"]
    # No controller counts locked pages; all of them are unevictable.
    lines[b"Mlocked"] = bounded(None, b"Mlocked", host, lines[b"Unevictable"])
    return lines


def _pages(memory: Memory, share: Share, host: HostMeminfo) -> dict[bytes, int]:
    """Return what the processes have: anonymous, mapped, shared, dirty; the huge parts within their wholes."""
    stat, used = memory.stat, share.used
    anon = bounded(stat.anon, b"AnonPages", host, used)
    file = bounded(stat.file, b"Cached", host, used)
    shmem = bounded(stat.shmem, b"Shmem", host, share.cached)  # htop takes it from Cached
    shmem_huge = bounded(stat.shmem_thp, b"ShmemHugePages", host, shmem)
    file_huge = bounded(stat.file_thp, b"FileHugePages", host, file)
    return {
        b"AnonPages": anon,
        b"Mapped": bounded(stat.file_mapped, b"Mapped", host, file),
        b"Shmem": shmem,
        b"Dirty": bounded(stat.file_dirty, b"Dirty", host, file),
        b"Writeback": bounded(stat.file_writeback, b"Writeback", host, used),  # swap-out included
        b"AnonHugePages": bounded(stat.anon_thp, b"AnonHugePages", host, anon),
        b"ShmemHugePages": shmem_huge,
        b"FileHugePages": file_huge,
        # How many are mapped as one is counted for the machine only; no more than there are.
        b"ShmemPmdMapped": bounded(None, b"ShmemPmdMapped", host, shmem_huge),
        b"FilePmdMapped": bounded(None, b"FilePmdMapped", host, file_huge),
    }


def _kernel(memory: Memory, share: Share, anon: int, host: HostMeminfo) -> dict[bytes, int]:
    """Return kernel memory that is not slab; where its sum is unknown it is what remains."""
    stat = memory.stat
    size = memory.kernel_current if stat.kernel is None else stat.kernel
    rest = max(0, share.used - anon - kib(stat.file or 0))
    kernel = rest if size is None else min(kib(size), share.used)
    return {
        b"KernelStack": bounded(stat.kernel_stack, b"KernelStack", host, kernel),
        b"ShadowCallStack": bounded(None, b"ShadowCallStack", host, kernel),
        b"PageTables": bounded(stat.pagetables, b"PageTables", host, kernel),
        b"SecPageTables": bounded(stat.sec_pagetables, b"SecPageTables", host, kernel),
        b"Percpu": bounded(stat.percpu, b"Percpu", host, kernel),
        b"VmallocUsed": min(kib(stat.vmalloc or 0), kernel),  # the machine's is mostly the kernel's own
    }


def _swap(snapshot: Snapshot, memory: Memory, swap: Swap, host: HostMeminfo) -> dict[bytes, int]:
    """Return swap, and compressed swap within it: htop takes SwapCached and Zswapped from what is used."""
    stat = memory.stat
    compressed = 0 if snapshot.policy.disable_zswap else swap.used
    return {
        b"SwapTotal": swap.total,
        b"SwapFree": swap.free,
        b"SwapCached": bounded(stat.swapcached, b"SwapCached", host, swap.used),
        b"Zswap": bounded(stat.zswap, b"Zswap", host, compressed),
        b"Zswapped": bounded(stat.zswapped, b"Zswapped", host, compressed),
    }


def _commit(memory: Memory, share: Share, swap: Swap, touched: int, host: HostMeminfo) -> dict[bytes, int]:
    """Return Committed_AS as what has been touched: no controller counts promises, and so much is certain."""
    total = share.total + swap.total
    return {
        b"CommitLimit": min(total, host.get(b"CommitLimit", total)),
        b"Committed_AS": min(touched + kib(memory.swap_current or 0), total, host.get(b"Committed_AS", total)),
    }


def _huge_pages(hugetlb: tuple[Hugetlb, ...], host: HostMeminfo) -> dict[bytes, int]:
    """Return the container's part of the machine's pools."""
    pools_kib, size_kib = host[b"Hugetlb"], host[b"Hugepagesize"]
    # Of other sizes than the default only the sum over all pools is known.
    allowed_kib = sum(kib(one.max) if isinstance(one.max, int) else pools_kib for one in hugetlb)
    lines = _NO_HUGE_PAGES | {b"Hugetlb": min(pools_kib, allowed_kib)}
    for one in hugetlb:
        if size_kib and one.page_size == size_kib << 10:
            total = host[b"HugePages_Total"]
            if isinstance(one.max, int):
                total = min(total, one.max // one.page_size)
            free = max(0, min(total - (one.current or 0) // one.page_size, host[b"HugePages_Free"]))
            reserved = min(free, host[b"HugePages_Rsvd"])
            lines |= {b"HugePages_Total": total, b"HugePages_Free": free, b"HugePages_Rsvd": reserved}
    return lines
