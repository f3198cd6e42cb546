"""The two languages in which kernels talk about cgroups; the only place that knows the names of control files.

`dialects.v1` and `dialects.v2` hold the same functions with the same results (`Dialect`). A hybrid host picks one
per controller: ``dialect_for(mounts.for_controller("memory"))``.

Readers take the directories of one cgroup by canonical controller name (``memory``, ``cpu``, ``cpuacct``, ``cpuset``,
``io``, ``pids``, ``hugetlb``, ``freezer``, and ``""`` for the v2 core). They raise `Missing` when the controller is
not there, `CgroupGone` when the cgroup is not, `ParseError` when a file is malformed, and OSError; a single file that
this kernel lacks gives None in its field.
"""

from __future__ import annotations

from typing import Literal, Protocol

from cgroup_model.dialects import v1, v2
from cgroup_model.dialects.records import Dirs, IoSources, MemoryLevel, OomKills, Quota
from cgroup_model.snapshot import (
    Core,
    Cpu,
    Cpuset,
    Hugetlb,
    Io,
    Limit,
    Memory,
    NumaPages,
    Pids,
    Pressure,
    UnlimitedType,
)
from cgroup_model.source import Source

__all__ = ["Dialect", "Dirs", "IoSources", "MemoryLevel", "OomKills", "Quota", "dialect_for"]


class Dialect(Protocol):
    """What both modules offer."""

    def read_memory(self, source: Source, dirs: Dirs, *, detail: bool = True, swap: bool = True) -> Memory:
        """Read all of the memory controller; without ``detail`` only what `Need.MEMORY` asks for.

        Without ``swap`` no file is read for its sake: for a machine that has none.
        """

    def read_memory_level(
        self, source: Source, dirs: Dirs, *, with_stat: bool | None = None, swap: bool = True
    ) -> MemoryLevel:
        """Read limits and usage of one level, with memory.stat or without.

        By default usage and memory.stat are read where there is a limit: elsewhere nobody asks what is left.
        """

    def read_numa(self, source: Source, dirs: Dirs) -> tuple[NumaPages, ...]:
        """Read how many pages are on which memory node; v2 tells of the subtree only."""

    def read_slabinfo(self, source: Source, dirs: Dirs) -> bytes | None:
        """Read the cgroup's own ``slabinfo``; None where the kernel keeps none (v2, v1 since Linux 5.9)."""

    def read_cpu(
        self, source: Source, dirs: Dirs, *, detail: bool = True, per_cpu: bool = True, may_wait: bool = True
    ) -> Cpu:
        """Read all of cpu (and cpuacct); without ``per_cpu`` not the time of each CPU (v1).

        ``may_wait`` False: no ancestor has a quota, so that waiting times stand still unless the cgroup has one.
        """

    def read_quota(self, source: Source, dirs: Dirs) -> Quota:
        """Read the CFS quota of one level; the period only where there is a quota."""

    def read_cpu_usage(self, source: Source, dirs: Dirs) -> int:
        """Read the CPU time used by the subtree alone; microseconds."""

    def read_memory_current(self, source: Source, dirs: Dirs) -> int:
        """Read the memory charged to the subtree alone; bytes."""

    def read_pids_current(self, source: Source, dirs: Dirs) -> int:
        """Count the tasks of the subtree alone."""

    def read_cpuset(self, source: Source, dirs: Dirs, *, detail: bool = True) -> Cpuset:
        """Read CPUs and memory nodes; without ``detail`` only the CPUs that are in effect."""

    def io_sources(self, source: Source, top: str) -> IoSources:
        """Tell by the topmost directory which of several files count anything on this machine (v1)."""

    def read_io(self, source: Source, dirs: Dirs, sources: IoSources = ...) -> Io:
        """Read counters and limits of block devices, from all files or from those that `io_sources` told."""

    def read_pids(self, source: Source, dirs: Dirs) -> Pids:
        """Read the pids controller; the ``effective_`` fields stay None."""

    def read_pids_max(self, source: Source, dirs: Dirs) -> Limit:
        """Read the limit of one level."""

    def read_pressure(self, source: Source, dirs: Dirs) -> Pressure:
        """Read pressure stall information; a resource the kernel does not report is None."""

    def open_pressure(self, source: Source, dirs: Dirs, resource: str) -> int:
        """Open the file of ``cpu``, ``memory`` or ``io`` for a trigger; raises `Missing` where there is none."""

    def read_hugetlb(self, source: Source, dirs: Dirs) -> tuple[Hugetlb, ...]:
        """Read a record per huge page size, ascending."""

    def read_core(self, source: Source, dirs: Dirs, *, with_type: bool = True) -> Core:
        """Read the state of the cgroup itself, with or without `Core.type`."""

    def read_oom_kills(self, source: Source, directory: str) -> OomKills:
        """Count the victims of the OOM killer in one directory of the memory controller."""

    def register_oom(self, source: Source, directory: str, eventfd: int) -> None:
        """Have an eventfd signalled at each kill and at the removal (v1; v2 does nothing, see `oom_event_file`)."""

    def oom_event_file(self, directory: str) -> str | None:
        """Name the file that the kernel modifies at each kill (v2). None: not this dialect."""

    def read_procs(self, source: Source, directory: str) -> list[int]:
        """List the processes of this one cgroup, not of its children; a process of another pid namespace is 0."""

    def read_threads(self, source: Source, directory: str) -> list[int]:
        """List the threads of this one cgroup."""

    def read_controllers(self, source: Source, directory: str) -> frozenset[str]:
        """Read which controllers the cgroup may use (v2 only; v1 knows them from the mount)."""

    def read_subtree_control(self, source: Source, directory: str) -> frozenset[str]:
        """Read which controllers the children of the cgroup have (v2 only)."""

    def write_memory_max(self, source: Source, dirs: Dirs, limit: int | UnlimitedType) -> None:
        """Limit memory; bytes."""

    def write_memory_high(self, source: Source, dirs: Dirs, limit: int | UnlimitedType) -> None:
        """Throttle and reclaim above this; bytes. Raises `Missing` on v1, which cannot."""

    def write_swap_max(self, source: Source, dirs: Dirs, limit: int | UnlimitedType) -> None:
        """Limit swap alone; bytes. On v1 the memory limit must be set before."""

    def write_quota(self, source: Source, dirs: Dirs, quota_usec: int | UnlimitedType, period_usec: int) -> None:
        """Limit CPU time per period; microseconds."""

    def write_wbps_max(self, source: Source, dirs: Dirs, number: tuple[int, int], limit: int | UnlimitedType) -> None:
        """Limit what is written to a block device (major, minor); bytes per second."""

    def write_cpuset(self, source: Source, dirs: Dirs, cpus: str | None, mems: str | None = None) -> None:
        """Confine to CPUs and memory nodes (lists such as ``0-3,8``); None leaves them."""

    def write_pids_max(self, source: Source, dirs: Dirs, limit: int | UnlimitedType) -> None:
        """Limit the number of tasks."""

    def write_freeze(self, source: Source, dirs: Dirs, *, frozen: bool) -> None:
        """Begin to freeze or thaw the subtree; `read_core` tells when it is done."""

    def write_kill(self, source: Source, dirs: Dirs) -> None:
        """SIGKILL everything in the subtree. Raises `Missing` where the kernel cannot (v1, v2 before 5.14)."""

    def write_procs(self, source: Source, directory: str, pid: int) -> None:
        """Move a process into this cgroup."""

    def write_subtree_control(self, source: Source, directory: str, controllers: frozenset[str]) -> None:
        """Enable controllers for the children (v2 only; nothing to do on v1)."""


class Versioned(Protocol):
    """A hierarchy, as far as it matters here (`cgroup_model.mounts.Hierarchy`)."""

    @property
    def version(self) -> Literal[1, 2]:
        """Of the kernel's interface."""


def dialect_for(hierarchy: Versioned) -> Dialect:
    """Choose the dialect that a hierarchy speaks."""
    return v1 if hierarchy.version == 1 else v2
