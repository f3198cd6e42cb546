"""From which control file each field of a snapshot comes, in both dialects: for documentation that is made from code.

Keys are ``Record.field``. A value names the v1 and the v2 file, with a key inside of it behind a blank; None where that
dialect does not say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from cgroup_model.dialects.v1 import memory as memory_v1
from cgroup_model.dialects.v2 import memory as memory_v2

_RESOURCES: Final = ("cpu", "memory", "io", "irq")


class Origin(NamedTuple):
    """A control file of each dialect, or None."""

    v1: str | None
    v2: str | None


def _stat() -> dict[str, Origin]:
    """Take the keys of ``memory.stat`` from the tables that the readers themselves use."""
    first = {field: f"memory.stat {key.decode()}" for key, field in memory_v1.STAT.items()}
    second = {field: f"memory.stat {key.decode()}" for key, field in memory_v2.STAT.items()}
    return {f"MemoryStat.{field}": Origin(first.get(field), second[field]) for field in second}


def _events() -> dict[str, Origin]:
    events = {f"MemoryEvents.{name}": Origin(None, f"memory.events {name}") for name in memory_v2.EVENTS.values()}
    return events | {"MemoryEvents.oom_kill": Origin("memory.oom_control oom_kill", "memory.events oom_kill")}


def _pressure() -> dict[str, Origin]:
    return {f"Pressure.{name}": Origin(f"{name}.pressure (v2 mount)", f"{name}.pressure") for name in _RESOURCES}


def _devices() -> dict[str, Origin]:
    counters = {
        "rbytes": "io_service_bytes_recursive Read",
        "wbytes": "io_service_bytes_recursive Write",
        "dbytes": "io_service_bytes_recursive Discard",
        "rios": "io_serviced_recursive Read",
        "wios": "io_serviced_recursive Write",
        "dios": "io_serviced_recursive Discard",
    }
    limits = {"rbps": "read_bps", "wbps": "write_bps", "riops": "read_iops", "wiops": "write_iops"}
    counted = {f"IoDevice.{key}": Origin(f"blkio.throttle.{name}", f"io.stat {key}") for key, name in counters.items()}
    limited = {
        f"IoDevice.{key}_max": Origin(f"blkio.throttle.{name}_device", f"io.max {key}") for key, name in limits.items()
    }
    return counted | limited


ORIGINS: Final[Mapping[str, Origin]] = {
    "Memory.current": Origin("memory.usage_in_bytes", "memory.current"),
    "Memory.max": Origin("memory.limit_in_bytes", "memory.max"),
    "Memory.high": Origin(None, "memory.high"),
    "Memory.low": Origin(None, "memory.low"),
    "Memory.min": Origin(None, "memory.min"),
    "Memory.peak": Origin("memory.max_usage_in_bytes", "memory.peak"),
    "Memory.swap_current": Origin("memory.stat total_swap", "memory.swap.current"),
    "Memory.swap_max": Origin("memory.memsw.limit_in_bytes", "memory.swap.max"),
    "Memory.swap_high": Origin(None, "memory.swap.high"),
    "Memory.swap_peak": Origin(None, "memory.swap.peak"),
    "Memory.zswap_current": Origin(None, "memory.zswap.current"),
    "Memory.zswap_max": Origin(None, "memory.zswap.max"),
    "Memory.zswap_writeback": Origin(None, "memory.zswap.writeback"),
    "Memory.oom_group": Origin(None, "memory.oom.group"),
    "Memory.oom_kill_disable": Origin("memory.oom_control oom_kill_disable", None),
    "Memory.under_oom": Origin("memory.oom_control under_oom", None),
    "Memory.failcnt": Origin("memory.failcnt", None),
    "Memory.swappiness": Origin("memory.swappiness", None),
    "Memory.soft_limit": Origin("memory.soft_limit_in_bytes", None),
    "SwapEvents.high": Origin(None, "memory.swap.events high"),
    "SwapEvents.max": Origin(None, "memory.swap.events max"),
    "SwapEvents.fail": Origin(None, "memory.swap.events fail"),
    "Memory.kernel_current": Origin("memory.kmem.usage_in_bytes", "memory.stat kernel"),
    "NumaPages.pages": Origin("memory.numa_stat", "memory.numa_stat"),
    **_stat(),
    **_events(),
    "Cpu.usage_usec": Origin("cpuacct.usage", "cpu.stat usage_usec"),
    "Cpu.user_usec": Origin("cpuacct.stat user", "cpu.stat user_usec"),
    "Cpu.system_usec": Origin("cpuacct.stat system", "cpu.stat system_usec"),
    "Cpu.nice_usec": Origin(None, "cpu.stat nice_usec"),
    "Cpu.per_cpu_usec": Origin("cpuacct.usage_all", None),
    "Cpu.quota_usec": Origin("cpu.cfs_quota_us", "cpu.max"),
    "Cpu.period_usec": Origin("cpu.cfs_period_us", "cpu.max"),
    "Cpu.burst_usec": Origin("cpu.cfs_burst_us", "cpu.max.burst"),
    "Cpu.weight": Origin("cpu.shares", "cpu.weight"),
    "Cpu.shares": Origin("cpu.shares", None),
    "Cpu.idle": Origin("cpu.idle", "cpu.idle"),
    "Cpu.uclamp_min": Origin("cpu.uclamp.min", "cpu.uclamp.min"),
    "Cpu.uclamp_max": Origin("cpu.uclamp.max", "cpu.uclamp.max"),
    "Cpu.throttling_local_usec": Origin("cpu.stat.local throttled_time", "cpu.stat.local throttled_usec"),
    "Throttling.nr_periods": Origin("cpu.stat nr_periods", "cpu.stat nr_periods"),
    "Throttling.nr_throttled": Origin("cpu.stat nr_throttled", "cpu.stat nr_throttled"),
    "Throttling.throttled_usec": Origin("cpu.stat throttled_time", "cpu.stat throttled_usec"),
    "Throttling.nr_bursts": Origin("cpu.stat nr_bursts", "cpu.stat nr_bursts"),
    "Throttling.burst_usec": Origin("cpu.stat burst_time", "cpu.stat burst_usec"),
    "Cpuset.cpus_effective": Origin("cpuset.effective_cpus", "cpuset.cpus.effective"),
    "Cpuset.mems_effective": Origin("cpuset.effective_mems", "cpuset.mems.effective"),
    **_devices(),
    "Io.weight": Origin("blkio.bfq.weight", "io.weight"),
    "Pids.current": Origin("pids.current", "pids.current"),
    "Pids.max": Origin("pids.max", "pids.max"),
    "Pids.peak": Origin("pids.peak", "pids.peak"),
    "Pids.events_max": Origin("pids.events max", "pids.events max"),
    **_pressure(),
    "Hugetlb.current": Origin("hugetlb.SIZE.usage_in_bytes", "hugetlb.SIZE.current"),
    "Hugetlb.max": Origin("hugetlb.SIZE.limit_in_bytes", "hugetlb.SIZE.max"),
    "Hugetlb.rsvd_current": Origin("hugetlb.SIZE.rsvd.usage_in_bytes", "hugetlb.SIZE.rsvd.current"),
    "Hugetlb.rsvd_max": Origin("hugetlb.SIZE.rsvd.limit_in_bytes", "hugetlb.SIZE.rsvd.max"),
    "Hugetlb.events_max": Origin("hugetlb.SIZE.failcnt", "hugetlb.SIZE.events max"),
    "Core.populated": Origin(None, "cgroup.events populated"),
    "Core.frozen": Origin("freezer.state", "cgroup.events frozen"),
    "Core.nr_descendants": Origin(None, "cgroup.stat nr_descendants"),
    "Core.nr_dying_descendants": Origin(None, "cgroup.stat nr_dying_descendants"),
}
"""``Record.field`` -> the files."""
