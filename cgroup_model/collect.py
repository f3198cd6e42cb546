"""Control files and host files to a `Snapshot`; the only place that forgives errors.

A part that cannot be read is None, counted in `Collector.problems` and logged once. A level of the hierarchy that
cannot be read is left out of the minima. A cgroup that is gone is the caller's matter: `CgroupGone`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, ParamSpec, Protocol, TypeVar, cast

from cgroup_model.dialects import Dialect, Dirs, MemoryLevel, Quota, dialect_for
from cgroup_model.effective import ROOT_MEMORY, ROOT_QUOTA, as_level, is_limited, memory_bounds, minimum, shown_cpus
from cgroup_model.hierarchy import Cgroup, Layout, Level, Tree
from cgroup_model.host import HostFiles
from cgroup_model.mounts import Mounts
from cgroup_model.parse import ParseError
from cgroup_model.problems import Problems
from cgroup_model.procfs import NoSuchTask
from cgroup_model.snapshot import (
    UNLIMITED,
    Core,
    Cpu,
    Cpuset,
    CpuTimes,
    Host,
    Hugetlb,
    Io,
    Limit,
    Load,
    Memory,
    MemoryBounds,
    Need,
    Pids,
    Policy,
    Pressure,
    ShownCpus,
    Snapshot,
    Tasks,
)
from cgroup_model.source import CgroupGone, Missing, Source

_ROOT: Final = "/"

# Plain numbers: operators of enum.Flag cost more than reading a file does.
_MEMORY: Final = Need.MEMORY.value
_CPU: Final = (Need.CPU | Need.CPU_TIMES).value
_CPUS: Final = (Need.CPUS | Need.CPU_TIMES).value
_CPU_TIMES: Final = Need.CPU_TIMES.value
_CPUSET: Final = Need.CPUSET.value
_IO: Final = Need.IO.value
_PIDS: Final = Need.PIDS.value
_PRESSURE: Final = Need.PRESSURE.value
_HUGETLB: Final = Need.HUGETLB.value
_CORE: Final = Need.CORE.value
_AGE: Final = Need.AGE.value
_TASKS: Final = Need.TASKS.value
_LOAD: Final = Need.LOAD.value

Part = TypeVar("Part")
Given = ParamSpec("Given")

LevelCache = dict[tuple[str, str], object]
"""(part, directory) -> what was read there, None when it could not be."""


class History(Protocol):
    """Answers that need more than one look: what accumulates, and what is counted over processes."""

    def cpu_times(self, cgroup: Cgroup, cpu: Cpu | None, shown: ShownCpus) -> CpuTimes | None:
        """Accumulated time of each shown CPU."""

    def age(self, cgroup: Cgroup) -> float | None:
        """Seconds since the container started."""

    def tasks(self, cgroup: Cgroup) -> Tasks | None:
        """Thread states of the subtree."""

    def load(self, cgroup: Cgroup) -> Load | None:
        """Load averages."""


def boot_seconds() -> float:
    """Return CLOCK_BOOTTIME, which goes on while the machine sleeps, as uptime does."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Collector:
    """Makes snapshots. Safe to share between threads as far as the host files and ``history`` are.

    ``source`` is the tree's own, so that descriptors of what the tree sees going are given back.
    """

    def __init__(
        self,
        tree: Tree,
        source: Source,
        host: HostFiles,
        policy: Policy | None = None,
        history: History | None = None,
        clock: Callable[[], float] = boot_seconds,
    ) -> None:
        self.problems = Problems()
        """(part, reason) -> how often a part could not be read."""
        self._tree = tree
        self._host = host
        self._history = history
        self._clock = clock
        memory = tree.mounts.for_controller("memory")
        tells_unseen = memory is not None and memory.version == 1
        self._kit = _Kit(source, _dialects(tree.mounts), policy or Policy(), self.problems, tells_unseen)

    def snapshot(self, cgroup: Cgroup, needs: Need) -> Snapshot:
        """Read what ``needs`` asks for, each file once; raises `CgroupGone`."""
        return self._sure(cgroup, needs.value, self._host.read(needs), {})

    def snapshots(self, cgroups: Iterable[Cgroup], needs: Need) -> Iterator[tuple[Cgroup, Snapshot]]:
        """Yield a snapshot of each cgroup that is still there.

        The host's files and those of common ancestors are read once for all.
        """
        host = self._host.read(needs)
        levels: LevelCache = {}
        for cgroup in cgroups:
            try:
                yield cgroup, self._sure(cgroup, needs.value, host, levels)
            except CgroupGone:
                continue

    def _sure(self, cgroup: Cgroup, wanted: int, host: Host, levels: LevelCache) -> Snapshot:
        """Take a snapshot of this very cgroup, whatever was removed and made again under its path.

        Kept descriptors may be of a predecessor, and files may be a successor's. A cgroup that is alive afterwards
        was alive all the time, so everything that was opened meanwhile was its own.
        """
        try:
            snapshot = self._snapshot(cgroup, wanted, host, levels)
        except CgroupGone:
            self._tree.forget(cgroup.path)
            if not self._tree.is_alive(cgroup):
                raise
            snapshot = self._snapshot(cgroup, wanted, host, levels)
        if not self._tree.is_alive(cgroup):
            self._tree.forget(cgroup.path)
            raise CgroupGone(self._tree.layout(cgroup).home)
        return snapshot

    def _snapshot(self, cgroup: Cgroup, wanted: int, host: Host, levels: LevelCache) -> Snapshot:
        look = _Look(cgroup, self._tree.layout(cgroup), host, levels, self._kit)
        history = self._history
        taken_at = self._clock()
        memory = look.memory() if wanted & _MEMORY else None
        cpu = look.cpu() if wanted & _CPU else None
        cpuset = look.cpuset() if wanted & _CPUSET else None
        cpus = look.shown_cpus(cpu, cpuset) if wanted & _CPUS else None
        return Snapshot(
            path=cgroup.path,
            host=host,
            policy=self._kit.policy,
            taken_at=taken_at,
            age_seconds=look.attempt("age", history.age, cgroup) if history and wanted & _AGE else None,
            memory=memory,
            memory_bounds=look.memory_bounds(memory) if wanted & _MEMORY else None,
            cpu=cpu,
            cpus=cpus,
            cpu_times=(
                look.attempt("cpu_times", history.cpu_times, cgroup, cpu, cpus)
                if history and cpus and wanted & _CPU_TIMES
                else None
            ),
            cpuset=cpuset,
            io=look.io() if wanted & _IO else None,
            pids=look.pids() if wanted & _PIDS else None,
            pressure=look.pressure() if wanted & _PRESSURE else None,
            hugetlb=look.hugetlb() if wanted & _HUGETLB else None,
            core=look.core() if wanted & _CORE else None,
            tasks=look.attempt("tasks", history.tasks, cgroup) if history and wanted & _TASKS else None,
            load=look.attempt("load", history.load, cgroup) if history and wanted & _LOAD else None,
        )


@dataclass(frozen=True, slots=True)
class _Kit:
    """What every look works with."""

    source: Source
    dialects: Mapping[str, Dialect]
    policy: Policy
    problems: Problems
    tells_unseen: bool  # v1 alone knows the limit of ancestors that no mount shows, and only in a costly file


@dataclass(slots=True)
class _Look:
    """One look at one cgroup: a method per part, each forgiving its own errors."""

    cgroup: Cgroup
    layout: Layout
    host: Host
    levels: LevelCache
    kit: _Kit

    def attempt(self, part: str, read: Callable[Given, Part], *args: Given.args, **kwargs: Given.kwargs) -> Part | None:
        """Read a part; None, counted and logged, when the kernel does not say or says nonsense."""
        try:
            return read(*args, **kwargs)
        except (Missing, ParseError, NoSuchTask, OSError) as error:
            if not (isinstance(error, Missing) and self.cgroup.path == _ROOT):  # the root has few files, by design
                self.kit.problems.note(self.cgroup.path, part, error)
            return None

    def _own(self, part: str, read: Callable[[Source, Dirs], Part]) -> Part | None:
        return self.attempt(part, read, self.kit.source, self.layout.directories)

    # ------------------------------------------------------------------------------ the cgroup's own files

    def memory(self) -> Memory | None:
        return self._own("memory", self.kit.dialects["memory"].read_memory)

    def cpu(self) -> Cpu | None:
        return self._own("cpu", self.kit.dialects["cpu"].read_cpu)

    def cpuset(self) -> Cpuset | None:
        return self._own("cpuset", self.kit.dialects["cpuset"].read_cpuset)

    def io(self) -> Io | None:
        return self._own("io", self.kit.dialects["io"].read_io)

    def pressure(self) -> Pressure | None:
        return self._own("pressure", self.kit.dialects[""].read_pressure)

    def hugetlb(self) -> tuple[Hugetlb, ...] | None:
        return self._own("hugetlb", self.kit.dialects["hugetlb"].read_hugetlb)

    def core(self) -> Core | None:
        name = "" if "" in self.layout.directories else "freezer"
        return self._own("core", self.kit.dialects[name].read_core)

    # --------------------------------------------------------------------------- minima over all levels

    def pids(self) -> Pids | None:
        """Own counters with the effective limit, which an ancestor may set where the cgroup has no pids controller."""
        own = self._own("pids", self.kit.dialects["pids"].read_pids)
        read: Callable[[Source, Dirs], Limit] = self.kit.dialects["pids"].read_pids_max
        own_max: Limit = own.max if own is not None else None
        levels: Iterator[tuple[str, Limit]] = self._each_level("pids", read, own_max, UNLIMITED)
        limit, origin = minimum(levels)
        if own is None and limit is None:
            return None
        return replace(own or Pids(), effective_max=limit, effective_max_origin=origin)

    def memory_bounds(self, memory: Memory | None) -> MemoryBounds:
        own = None if memory is None or self._must_ask_for_unseen() else as_level(memory)
        return memory_bounds(self._each_level("memory", self._memory_level, own, ROOT_MEMORY))

    def _memory_level(self, source: Source, dirs: Dirs) -> MemoryLevel:
        """Read a level; what could be reclaimed there matters only below a limit."""
        read = self.kit.dialects["memory"].read_memory_level
        with_stat = self._must_ask_for_unseen()
        level = read(source, dirs, with_stat=with_stat)
        return level if with_stat or not is_limited(level) else read(source, dirs, with_stat=True)

    def _must_ask_for_unseen(self) -> bool:
        return self.kit.tells_unseen and "memory" not in self.layout.whole

    def shown_cpus(self, cpu: Cpu | None, cpuset: Cpuset | None) -> ShownCpus:
        own = None if cpu is None or cpu.quota_usec is None else Quota(cpu.quota_usec, cpu.period_usec)
        quotas = self._each_level("cpu", self.kit.dialects["cpu"].read_quota, own, ROOT_QUOTA)
        return shown_cpus(self._usable_cpus(cpuset), quotas, cut_to_quota=self.kit.policy.cpu_view == "quota")

    def _usable_cpus(self, own: Cpuset | None) -> tuple[int, ...]:
        """Intersect the nearest cpuset with the CPUs that are online; one without any of them says nothing."""
        online = self.host.online_cpus
        for _path, cpuset in self._each_level("cpuset", self.kit.dialects["cpuset"].read_cpuset, own):
            allowed = frozenset(cpuset.cpus_effective or ())
            if usable := tuple(cpu for cpu in online if cpu in allowed):
                return usable
        return online

    def _each_level(
        self, controller: str, read: Callable[[Source, Dirs], Part], own: Part | None, root: Part | None = None
    ) -> Iterator[tuple[str, Part]]:
        """Yield (path, what is read there), innermost first, without levels that cannot be read.

        ``own`` is what is known of the innermost already, ``root`` what holds at the root if it is in sight.
        """
        for level in self.layout.levels.get(controller, ()):
            key = (controller, level.directories[controller])
            if own is not None:
                self.levels[key] = own
                own = None
            elif key not in self.levels:
                self.levels[key] = self._level(controller, read, level)
            found = self.levels[key]
            if found is not None:
                yield level.path, cast("Part", found)
        if root is not None and controller in self.layout.whole:
            yield _ROOT, root

    def _level(self, controller: str, read: Callable[[Source, Dirs], Part], level: Level) -> Part | None:
        """Read one level; it may have no such files (the root) or be gone, which only matters for the innermost."""
        try:
            return read(self.kit.source, level.directories)
        except CgroupGone:
            if level is self.layout.levels[controller][0]:
                raise
        except Missing:
            pass
        except (ParseError, OSError) as error:
            self.kit.problems.note(level.path, f"{controller} limits", error)
        return None


def _dialects(mounts: Mounts) -> Mapping[str, Dialect]:
    """Choose the dialect of each part; of a controller that is not mounted any says that it is missing."""
    fallback = {"cpu": ("cpu", "cpuacct", ""), "": ("", "freezer")}
    found = {}
    for part in ("memory", "cpu", "cpuset", "io", "pids", "hugetlb", "freezer", ""):
        served = (mounts.for_controller(name) for name in fallback.get(part, (part,)))
        hierarchy = next((hierarchy for hierarchy in served if hierarchy is not None), mounts.primary)
        found[part] = dialect_for(hierarchy)
    return found
