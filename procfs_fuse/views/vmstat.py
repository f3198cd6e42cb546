"""/proc/vmstat: the container's pages and its events, where the kernel counts them per container.

Kernel: mm/vmstat.c; pages, pages of huge pages, kB or events, as the name says.

    nr_free_pages 45888
    pgfault 114579404

Pages are those of our meminfo, so that the two files agree. Events are the container's own. A line of these tables that
this kernel does not count for the container is the machine's; every other line is the machine's own matter, and zero.
"""

from __future__ import annotations

import re

from cgroup_model.snapshot import Memory, MemoryStat, Need, Snapshot
from procfs_fuse.views import meminfo

PATH = "proc/vmstat"
NEEDS = meminfo.NEEDS | Need.MEMORY_DETAIL | Need.IO | Need.HOST_VMSTAT
OPTIONAL = meminfo.OPTIONAL | Need.IO

_MEMINFO_LINE = re.compile(rb"^(\S+): +(\d+)", re.MULTILINE)

_PAGES = {
    b"nr_free_pages": b"MemFree",
    b"nr_zone_inactive_anon": b"Inactive(anon)",
    b"nr_zone_active_anon": b"Active(anon)",
    b"nr_zone_inactive_file": b"Inactive(file)",
    b"nr_zone_active_file": b"Active(file)",
    b"nr_zone_unevictable": b"Unevictable",
    b"nr_inactive_anon": b"Inactive(anon)",
    b"nr_active_anon": b"Active(anon)",
    b"nr_inactive_file": b"Inactive(file)",
    b"nr_active_file": b"Active(file)",
    b"nr_unevictable": b"Unevictable",
    b"nr_mlock": b"Mlocked",
    b"nr_slab_reclaimable": b"SReclaimable",
    b"nr_slab_unreclaimable": b"SUnreclaim",
    b"nr_anon_pages": b"AnonPages",
    b"nr_mapped": b"Mapped",
    b"nr_dirty": b"Dirty",
    b"nr_writeback": b"Writeback",
    b"nr_shmem": b"Shmem",
    b"nr_page_table_pages": b"PageTables",
    b"nr_sec_page_table_pages": b"SecPageTables",
    b"nr_swapcached": b"SwapCached",
}
_HUGE_PAGES = {
    b"nr_anon_transparent_hugepages": b"AnonHugePages",
    b"nr_shmem_hugepages": b"ShmemHugePages",
    b"nr_shmem_pmdmapped": b"ShmemPmdMapped",
    b"nr_file_hugepages": b"FileHugePages",
    b"nr_file_pmdmapped": b"FilePmdMapped",
}
# Words of memory.stat. v1's pgpgin and pgpgout are charges, not what vmstat means by these names.
_EVENTS = tuple(
    name
    for name in MemoryStat.__dataclass_fields__
    if name.startswith(("workingset_", "pg", "psw", "thp_", "zsw")) and name not in {"pgpgin", "pgpgout"}
)
_CUT_TO_AVAILABLE = (b"nr_dirty_threshold", b"nr_dirty_background_threshold")


def render(snapshot: Snapshot) -> bytes:
    """Return the machine's lines in its order with the container's numbers; the machine's if memory is unknown."""
    host = snapshot.host.vmstat or b""
    if snapshot.memory is None or snapshot.host.meminfo is None:
        return host
    shown = {
        **_pages(snapshot),
        **_events(snapshot.memory),
        **_transfers(snapshot),
    }
    lines = []
    for line in host.splitlines():
        name, _, machines = line.partition(b" ")
        value = shown.get(name, 0)
        lines.append(b"%s %s\n" % (name, machines if value is None else b"%d" % value))
    return b"".join(lines)


def _pages(snapshot: Snapshot) -> dict[bytes, int]:
    kib = {name: int(value) for name, value in _MEMINFO_LINE.findall(meminfo.render(snapshot))}
    page_kib = snapshot.host.page_bytes >> 10
    huge_kib = kib.get(b"Hugepagesize", 0) or 2048
    pages = {name: kib.get(line, 0) // page_kib for name, line in _PAGES.items()}
    pages |= {name: kib.get(line, 0) // huge_kib for name, line in _HUGE_PAGES.items()}
    pages[b"nr_file_pages"] = sum(kib.get(line, 0) for line in (b"Cached", b"Buffers", b"SwapCached")) // page_kib
    pages[b"nr_zone_write_pending"] = pages[b"nr_dirty"] + pages[b"nr_writeback"]
    pages[b"nr_kernel_stack"] = kib.get(b"KernelStack", 0)  # in kB here, too
    available = kib.get(b"MemAvailable", kib.get(b"MemFree", 0)) // page_kib
    for name, machines in re.findall(rb"(?m)^(nr_dirty_\w*threshold) (\d+)$", snapshot.host.vmstat or b""):
        if name in _CUT_TO_AVAILABLE:
            pages[name] = min(int(machines), available)
    return pages


def _events(memory: Memory) -> dict[bytes, int | None]:
    events = {name.encode(): getattr(memory.stat, name) for name in _EVENTS}
    events[b"oom_kill"] = None if memory.events is None else memory.events.oom_kill
    return events


def _transfers(snapshot: Snapshot) -> dict[bytes, int | None]:
    """Count what went to and came from block devices; kB."""
    if snapshot.io is None:
        return {b"pgpgin": None, b"pgpgout": None}
    return {
        b"pgpgin": sum(device.rbytes or 0 for device in snapshot.io.devices) >> 10,
        b"pgpgout": sum(device.wbytes or 0 for device in snapshot.io.devices) >> 10,
    }
