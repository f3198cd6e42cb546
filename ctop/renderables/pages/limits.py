"""All limits, and which cgroup sets them."""

from __future__ import annotations

from cgroup_model.snapshot import Limit, Memory, MemoryBounds, Snapshot
from ctop import values
from ctop.format import UNKNOWN, Value, number, trim
from ctop.renderables.lines import Line
from ctop.renderables.pages.facts import Detail, device_name, fact, heading, note
from ctop.scene import Entry


def limits_page(detail: Detail, width: int, _height: int) -> list[Line]:
    """What holds, then what this cgroup itself says."""
    entry = detail.entry
    snapshot = entry.snapshot
    if snapshot is None:
        return [note("nothing was read of it", width)]
    return [
        *_effective(entry, snapshot, width),
        heading("Its own", width),
        *_own_memory(snapshot.memory or Memory(), width),
        *_own_cpu(snapshot, width),
        *_hugetlb(snapshot, width),
        *_io_limits(detail, width),
    ]


def _effective(entry: Entry, snapshot: Snapshot, width: int) -> list[Line]:
    bounds = snapshot.memory_bounds or MemoryBounds()
    quota_origin = None if snapshot.cpus is None else snapshot.cpus.quota_origin
    pids_origin = None if snapshot.pids is None else snapshot.pids.effective_max_origin
    rows = (
        ("memory", number(bounds.max, "size"), bounds.max_origin),
        ("memory high", number(bounds.high, "size"), bounds.high_origin),
        ("swap", number(bounds.swap_max, "size"), bounds.swap_max_origin),
        ("CPU quota, CPUs", number(values.quota(entry), "decimal"), quota_origin),
        ("tasks", number(values.pids_limit(entry), "count"), pids_origin),
    )
    lines = [fact(label, value, width, origin if origin != entry.path else None) for label, value, origin in rows]
    return [heading("Effective limits: the smallest of its own and all ancestors'", width), *lines]


def _own_memory(memory: Memory, width: int) -> list[Line]:
    rows = (
        ("memory max", memory.max),
        ("memory high", memory.high),
        ("memory low", memory.low),
        ("memory min", memory.min),
        ("swap max", memory.swap_max),
        ("zswap max", memory.zswap_max),
    )
    return [fact(label, _size(limit), width) for label, limit in rows]


def _own_cpu(snapshot: Snapshot, width: int) -> list[Line]:
    cpu, cpuset, pids = snapshot.cpu, snapshot.cpuset, snapshot.pids
    quota: Value = None if cpu is None else cpu.quota_cpus
    cpus = None if cpuset is None else cpuset.cpus_effective
    return [
        fact("CPU quota, CPUs", number(quota, "decimal"), width),
        fact("CPU weight", number(None if cpu is None else cpu.weight, "count"), width),
        fact("CPUs allowed", UNKNOWN if cpus is None else str(len(cpus)), width),
        fact("CPUs shown inside", number(None if snapshot.cpus is None else snapshot.cpus.count, "count"), width),
        fact("tasks max", number(None if pids is None else pids.max, "count"), width),
        fact("forks refused", number(None if pids is None else pids.events_max, "count"), width),
        fact("IO weight", number(None if snapshot.io is None else snapshot.io.weight, "count"), width),
    ]


def _hugetlb(snapshot: Snapshot, width: int) -> list[Line]:
    return [
        fact(f"huge pages {number(one.page_size, 'size')}", _size(one.max), width) for one in snapshot.hugetlb or ()
    ]


def _io_limits(detail: Detail, width: int) -> list[Line]:
    snapshot = detail.entry.snapshot
    lines: list[Line] = []
    for device in () if snapshot is None or snapshot.io is None else snapshot.io.devices:
        limits = (device.rbps_max, device.wbps_max, device.riops_max, device.wiops_max)
        if any(isinstance(limit, int) for limit in limits):
            shown = " ".join(_size(limit) for limit in limits)
            name = device_name(detail, (device.major, device.minor))
            lines.append([(trim(f"device {name:<15} {shown}  (read/s write/s reads/s writes/s)", width), "")])
    return lines


def _size(limit: Limit) -> str:
    return number(limit, "size")
