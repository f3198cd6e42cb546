"""Single numbers of cgroup v2, for looking at thousands of cgroups: the head of ``cpu.stat`` and ``memory.current``."""

from __future__ import annotations

from cgroup_model.dialects.optional import directory_of
from cgroup_model.dialects.records import Dirs
from cgroup_model.parse import ParseError, integer
from cgroup_model.source import Source


def read_cpu_usage(source: Source, dirs: Dirs) -> int:
    """Read the CPU time used by the subtree; microseconds. The first line is ``usage_usec 33166327``."""
    line, _, _ = source.read(directory_of(dirs, ""), "cpu.stat").partition(b"\n")
    key, _, value = line.partition(b" ")
    if key != b"usage_usec":
        raise ParseError("usage_usec", line)
    return integer(value)


def read_memory_current(source: Source, dirs: Dirs) -> int:
    """Read the memory charged to the subtree; bytes."""
    return integer(source.read(directory_of(dirs, "memory"), "memory.current"))
