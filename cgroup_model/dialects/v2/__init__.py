"""cgroup v2: Documentation/admin-guide/cgroup-v2.rst. Functions as in `cgroup_model.dialects.Dialect`."""

from cgroup_model.dialects.numa import read_numa_v2 as read_numa
from cgroup_model.dialects.pids import read_pids, read_pids_current, read_pids_max, write_pids_max
from cgroup_model.dialects.v2.core import (
    open_pressure,
    read_controllers,
    read_core,
    read_pressure,
    read_procs,
    read_subtree_control,
    read_threads,
    write_freeze,
    write_kill,
    write_procs,
    write_subtree_control,
)
from cgroup_model.dialects.v2.cpu import read_cpu, read_quota, write_quota
from cgroup_model.dialects.v2.cpuset import read_cpuset, write_cpuset
from cgroup_model.dialects.v2.hugetlb import read_hugetlb
from cgroup_model.dialects.v2.io import io_sources, read_io, write_wbps_max
from cgroup_model.dialects.v2.memory import (
    read_memory,
    read_memory_level,
    read_slabinfo,
    write_memory_high,
    write_memory_max,
    write_swap_max,
)
from cgroup_model.dialects.v2.oom import oom_event_file, read_oom_kills, register_oom
from cgroup_model.dialects.v2.survey import read_cpu_usage, read_memory_current

__all__ = [
    "io_sources",
    "oom_event_file",
    "open_pressure",
    "read_controllers",
    "read_core",
    "read_cpu",
    "read_cpu_usage",
    "read_cpuset",
    "read_hugetlb",
    "read_io",
    "read_memory",
    "read_memory_current",
    "read_memory_level",
    "read_numa",
    "read_oom_kills",
    "read_pids",
    "read_pids_current",
    "read_pids_max",
    "read_pressure",
    "read_procs",
    "read_quota",
    "read_slabinfo",
    "read_subtree_control",
    "read_threads",
    "register_oom",
    "write_cpuset",
    "write_freeze",
    "write_kill",
    "write_memory_high",
    "write_memory_max",
    "write_pids_max",
    "write_procs",
    "write_quota",
    "write_subtree_control",
    "write_swap_max",
    "write_wbps_max",
]
