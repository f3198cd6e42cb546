"""Single numbers of cgroup v1, for looking at thousands of cgroups: ``cpuacct.usage`` and ``memory.usage_in_bytes``."""

from __future__ import annotations

from cgroup_model.dialects.optional import directory_of
from cgroup_model.dialects.records import Dirs
from cgroup_model.parse import integer
from cgroup_model.source import Source

NSEC_PER_USEC = 1000


def read_cpu_usage(source: Source, dirs: Dirs) -> int:
    """Read the CPU time used by the subtree; microseconds."""
    return integer(source.read(directory_of(dirs, "cpuacct"), "cpuacct.usage")) // NSEC_PER_USEC


def read_memory_current(source: Source, dirs: Dirs) -> int:
    """Read the memory charged to the subtree; bytes."""
    return integer(source.read(directory_of(dirs, "memory"), "memory.usage_in_bytes"))
