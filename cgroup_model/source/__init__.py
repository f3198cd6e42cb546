"""The only opener of control files: descriptors are kept and read again with pread.

A read of a kept descriptor costs one system call, an open costs three and a path walk. What is kept is
bounded by RLIMIT_NOFILE and by memory: an open kernfs file that was read once holds a page of kernel
memory. Directories are dropped whole, the one that was read longest ago first.
"""

from cgroup_model.source.answers import CgroupGone, Missing
from cgroup_model.source.descriptors import MOST_DESCRIPTORS, RESERVED_DESCRIPTORS, default_budget
from cgroup_model.source.files import FIRST_READ, SourceStats
from cgroup_model.source.reader import Source
from cgroup_model.source.records import Trace

__all__ = [
    "FIRST_READ",
    "MOST_DESCRIPTORS",
    "RESERVED_DESCRIPTORS",
    "CgroupGone",
    "Missing",
    "Source",
    "SourceStats",
    "Trace",
    "default_budget",
]
