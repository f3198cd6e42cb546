"""/proc/swaps: the container's swap as one area, with the numbers of SwapTotal and SwapFree in meminfo.

Kernel: swap_show() in mm/swapfile.c; kB. The machine's devices and files are none of the container's business.

    Filename                                Type            Size            Used            Priority
    none                                    virtual         65536           1024            0
"""

from __future__ import annotations

from cgroup_model.snapshot import Need, Snapshot
from procfs_fuse.views._host_meminfo import parse
from procfs_fuse.views._memory import bounds_of, swap_share

PATH = "proc/swaps"
NEEDS = Need.MEMORY | Need.HOST_MEMINFO | Need.HOST_SWAPS
OPTIONAL = Need.HOST_SWAPS  # read only where memory is unknown

_HEADER = b"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
_NARROW = 10_000_000  # the kernel adds a tab after smaller numbers


def render(snapshot: Snapshot) -> bytes:
    """Return the header and, if the container may swap, one line."""
    if snapshot.memory is None or snapshot.host.meminfo is None:
        return snapshot.host.swaps or b""
    swap = swap_share(
        snapshot.memory,
        bounds_of(snapshot, snapshot.memory),
        snapshot.policy,
        parse(snapshot.host.meminfo),
    )
    if not swap.total:
        return _HEADER
    return _HEADER + b"%-40svirtual\t\t%s\t%s\t0\n" % (b"none", _column(swap.total), _column(swap.used))


def _column(size_kib: int) -> bytes:
    return b"%d%s" % (size_kib, b"\t" if size_kib < _NARROW else b"")
