"""One look at one cgroup: a method per part, each forgiving its own errors."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Concatenate, Final, ParamSpec, TypeVar, cast

from cgroup_model.collect.kit import Kit
from cgroup_model.dialects import Dirs, IoSources, Quota
from cgroup_model.dialects.records import NO_QUOTA
from cgroup_model.effective import (
    ROOT_MEMORY,
    ROOT_QUOTA,
    adds_nothing,
    as_level,
    memory_bounds,
    minimum,
    own_bounds,
    shown_cpus,
)
from cgroup_model.hierarchy import Cgroup, Layout, Level
from cgroup_model.parse import ParseError, says_zero
from cgroup_model.procfs import NoSuchTask
from cgroup_model.snapshot import (
    UNLIMITED,
    Core,
    Cpu,
    Cpuset,
    Host,
    Hugetlb,
    Io,
    Limit,
    Memory,
    MemoryBounds,
    Pids,
    Pressure,
    ShownCpus,
)
from cgroup_model.source import CgroupGone, Missing, Source

_ROOT: Final = "/"
_UNREAD: Final = object()
_IO_SOURCES: Final = ("io", "")  # where a level cache has them
_IF_ANY: Final = {"swap": b"SwapTotal", "hugetlb": b"Hugetlb"}
"""What cgroups are asked for only where the machine has any, and the line of its meminfo that tells."""

Part = TypeVar("Part")
Given = ParamSpec("Given")


class LevelCache(dict[Hashable, object]):
    """(part, directory) -> what was read there, None when it could not be; or what was worked out of it.

    Of one pass over cgroups.
    """

    leaned = False
    """Whether a look took something from here that another had read, and that is no setting."""
    way: tuple[object, ...] | None = None
    """What is wanted, and all `Look.circumstances` of this pass."""


@dataclass(slots=True)
class Look:
    """One look at one cgroup: a method per part, each forgiving its own errors."""

    cgroup: Cgroup
    layout: Layout
    host: Host
    levels: LevelCache
    kit: Kit

    def attempt(self, part: str, read: Callable[Given, Part], *args: Given.args, **kwargs: Given.kwargs) -> Part | None:
        """Read a part; None, counted and logged, when the kernel does not say or says nonsense."""
        try:
            return read(*args, **kwargs)
        except (Missing, ParseError, NoSuchTask, OSError) as error:
            if not (isinstance(error, Missing) and self.cgroup.path == _ROOT):  # the root has few files, by design
                self.kit.problems.note(self.cgroup.path, part, error)
            return None

    def _own(
        self,
        part: str,
        read: Callable[Concatenate[Source, Dirs, Given], Part],
        *args: Given.args,
        **kwargs: Given.kwargs,
    ) -> Part | None:
        if part not in self.kit.served:
            return None
        return self.attempt(part, read, self.kit.source, self.layout.directories, *args, **kwargs)

    def circumstances(self, *, io: bool) -> tuple[object, ...]:
        """Return all that decides what is read of cgroups and how, beside their own files and their ancestors'."""
        return (*map(self._machine_has, _IF_ANY), self.host.online_cpus, self.io_sources() if io else None)

    def _machine_has(self, what: str) -> bool:
        """Tell whether the machine has any of something, as far as its meminfo was asked for."""
        return self.host.meminfo is None or not says_zero(self.host.meminfo, _IF_ANY[what])

    # ------------------------------------------------------------------------------ the cgroup's own files

    def memory(self, *, detail: bool) -> Memory | None:
        """Read the memory controller."""
        swap = detail or self._machine_has("swap")
        return self._own("memory", self.kit.dialects["memory"].read_memory, detail=detail, swap=swap)

    def cpu(self, *, detail: bool, per_cpu: bool) -> Cpu | None:
        """Read CPU time; in detail also quota, weight and throttling; with ``per_cpu`` also of each CPU."""
        read = self.kit.dialects["cpu"].read_cpu
        return self._own("cpu", read, detail=detail, per_cpu=per_cpu, may_wait=not detail or self._is_bound_above())

    def _is_bound_above(self) -> bool:
        """Tell whether an ancestor has a quota of CPU time, or may have one out of sight."""
        if "cpu" not in self.layout.directories or "cpu" not in self.layout.whole:
            return True
        return self._above("cpu", Look._has_quota_above)

    def _has_quota_above(self) -> bool:
        return any(quota.quota_usec is not UNLIMITED for _path, quota in self._quotas_above())

    def cpuset(self) -> Cpuset | None:
        """Read CPUs and memory nodes."""
        return self._own("cpuset", self.kit.dialects["cpuset"].read_cpuset)

    def io(self) -> Io | None:
        """Read counters and limits of block devices."""
        sources = self.io_sources()
        return None if sources is None else self._own("io", self.kit.dialects["io"].read_io, sources)

    def io_sources(self) -> IoSources | None:
        """Tell which files count block devices on this machine: asked once for all cgroups that are looked at."""
        sources = self.levels.get(_IO_SOURCES, _UNREAD)
        if sources is _UNREAD:
            sources = None if self.kit.io_top is None else self._io_sources(self.kit.io_top)
            self.levels[_IO_SOURCES] = sources
        return cast("IoSources | None", sources)

    def _io_sources(self, top: str) -> IoSources | None:
        try:
            return self.kit.dialects["io"].io_sources(self.kit.source, top)
        except (Missing, OSError) as error:
            self.kit.problems.note(_ROOT, "io", error)  # no cgroup's own
            return None

    def pressure(self) -> Pressure | None:
        """Read pressure stall information."""
        return self._own("pressure", self.kit.dialects["pressure"].read_pressure)

    def hugetlb(self) -> tuple[Hugetlb, ...] | None:
        """Read each huge page size; none where the machine has no pool of any size."""
        if not self._machine_has("hugetlb"):
            return ()
        return self._own("hugetlb", self.kit.dialects["hugetlb"].read_hugetlb)

    def core(self) -> Core | None:
        """Read the cgroup's own state; v1 has no more of it than the freezer's."""
        part = "core" if "" in self.layout.directories else "freezer"
        return self._own(part, self.kit.dialects[part].read_core, with_type=False)

    def slabinfo(self) -> bytes | None:
        """Read the list of slabs, which most kernels do not keep per cgroup."""
        return self._own("memory", self.kit.dialects["memory"].read_slabinfo)

    # --------------------------------------------------------------------------- minima over all levels

    def pids(self) -> Pids | None:
        """Own counters with the effective limit, which an ancestor may set where the cgroup has no pids controller."""
        own = self._own("pids", self.kit.dialects["pids"].read_pids)
        limit: Limit
        if own is None or own.max is None:
            read: Callable[[Source, Dirs], Limit] = self.kit.dialects["pids"].read_pids_max
            levels: list[tuple[str, Limit]] = self._each_level("pids", read, None, UNLIMITED)
            limit, origin = minimum(levels)
            if own is None and limit is None:
                return None
            return replace(own or Pids(), effective_max=limit, effective_max_origin=origin)
        limit, origin = self._above("pids", Look._pids_above)
        if own.max is not UNLIMITED and (not isinstance(limit, int) or own.max <= limit):
            limit, origin = own.max, self.layout.levels["pids"][0].path
        return Pids(own.current, own.max, own.peak, own.events_max, UNLIMITED if limit is None else limit, origin)

    def _pids_above(self) -> tuple[Limit, str | None]:
        read: Callable[[Source, Dirs], Limit] = self.kit.dialects["pids"].read_pids_max
        root: Limit = UNLIMITED
        levels: list[tuple[str, Limit]] = self._levels_above("pids", read, root)
        return minimum(levels)

    def memory_bounds(self, memory: Memory | None, *, detail: bool) -> MemoryBounds:
        """Minimise over all levels; ``memory`` is the cgroup's own record, where it was read."""
        unseen = self._must_ask_for_unseen()
        swap = detail or self._machine_has("swap")
        read = partial(self.kit.dialects["memory"].read_memory_level, with_stat=True if unseen else None, swap=swap)
        if memory is None or unseen:
            return memory_bounds(self._each_level("memory", read, None, ROOT_MEMORY))
        above = self._above("memory", Look._memory_above, swap)
        if adds_nothing(memory, above):
            return above
        own = self.layout.levels["memory"][0]
        self.levels[own.key] = as_level(memory)  # for its children
        if (bounds := own_bounds(own.path, memory, above)) is not None:
            return bounds
        return memory_bounds(self._each_level("memory", read, None, ROOT_MEMORY))

    def _memory_above(self, swap: bool) -> MemoryBounds:  # noqa: FBT001 - it is a part of a key
        read = partial(self.kit.dialects["memory"].read_memory_level, swap=swap)
        return memory_bounds(self._levels_above("memory", read, ROOT_MEMORY))

    def _must_ask_for_unseen(self) -> bool:
        return self.kit.tells_unseen and "memory" not in self.layout.whole

    def shown_cpus(self, cpu: Cpu | None, cpuset: Cpuset | None) -> ShownCpus:
        """Choose the CPUs to show; the arguments are the cgroup's own records, where they were read."""
        usable = self._usable_cpus(cpuset)
        if cpu is not None and cpu.quota_usec is UNLIMITED:
            return self._above("cpu", Look._cpus_below_quotas, usable, self.kit.policy.cpu_view)
        if cpu is not None and cpu.quota_usec is not None:
            self.levels[self.layout.levels["cpu"][0].key] = Quota(cpu.quota_usec, cpu.period_usec)
        make, view = Look._cpus_below_all_quotas, self.kit.policy.cpu_view
        return self._derived((make, self.layout, usable, view), make, usable, view)

    def _cpus_below_quotas(self, usable: tuple[int, ...], view: str) -> ShownCpus:
        return shown_cpus(usable, [("", NO_QUOTA), *self._quotas_above()], cut_to_quota=view == "quota")

    def _cpus_below_all_quotas(self, usable: tuple[int, ...], view: str) -> ShownCpus:
        quotas = self._each_level("cpu", self.kit.dialects["cpu"].read_quota, None, ROOT_QUOTA)
        return shown_cpus(usable, quotas, cut_to_quota=view == "quota")

    def _usable_cpus(self, own: Cpuset | None) -> tuple[int, ...]:
        """Intersect the nearest cpuset with the CPUs that are online; one without any of them says nothing."""
        online = self.host.online_cpus
        levels = self.layout.levels["cpuset"]
        for position, level in enumerate(levels):
            found = own if not position else None
            for _path, cpuset in (
                [(level.path, found)] if found else self._levels("cpuset", self.kit.read_cpus, (level,))
            ):
                if usable := _both(cpuset.cpus_effective or (), online):
                    return usable
        return online

    # ---------------------------------------------------------------------------------- levels, each read once

    def _quotas_above(self) -> list[tuple[str, Quota]]:
        return self._levels_above("cpu", self.kit.dialects["cpu"].read_quota, ROOT_QUOTA)

    def _above(self, controller: str, make: Callable[..., Part], *about: Hashable) -> Part:
        """Work something out of the ancestors alone: once for all children of the same parent."""
        levels = self.layout.levels[controller]
        key = (make, levels[1].key[1] if len(levels) > 1 else "", *about)
        found = self.levels.get(key, _UNREAD)
        if found is _UNREAD:
            found = self.levels[key] = self._derived(key, make, *about)
        elif not self.kit.source.is_settled(key):
            self.levels.leaned = True
        return cast("Part", found)

    def _derived(self, key: Hashable, make: Callable[..., Part], *about: Hashable) -> Part:
        """Work something out of levels; where that takes nothing but limits, only once until one is written.

        As if nothing had been read in this look, so that the source can tell what it is made of.
        """
        source = self.kit.source
        if not source.remembers:
            return make(self, *about)
        unread = Look(self.cgroup, self.layout, self.host, LevelCache(), self.kit)
        found = source.derived(key, lambda: make(unread, *about))
        for level, value in unread.levels.items():
            self.levels.setdefault(level, value)
        return found

    def _levels_above(
        self, controller: str, read: Callable[[Source, Dirs], Part], root: Part
    ) -> list[tuple[str, Part]]:
        rows = self._levels(controller, read, self.layout.levels[controller][1:])
        if controller in self.layout.whole:
            rows.append((_ROOT, root))
        return rows

    def _each_level(
        self, controller: str, read: Callable[[Source, Dirs], Part], own: Part | None, root: Part | None = None
    ) -> list[tuple[str, Part]]:
        """List (path, what is read there), innermost first, without levels that cannot be read.

        ``own`` is what is known of the innermost already, ``root`` what holds at the root if it is in sight.
        """
        levels = self.layout.levels[controller]
        if own is not None and levels:
            self.levels[levels[0].key] = own
        rows = self._levels(controller, read, levels)
        if root is not None and controller in self.layout.whole:
            rows.append((_ROOT, root))
        return rows

    def _levels(
        self, controller: str, read: Callable[[Source, Dirs], Part], levels: tuple[Level, ...]
    ) -> list[tuple[str, Part]]:
        rows: list[tuple[str, Part]] = []
        for level in levels:
            found = self.levels.get(level.key, _UNREAD)
            if found is _UNREAD:
                found = self.levels[level.key] = self._level(controller, read, level)
            else:
                self.levels.leaned = True
            if found is not None:
                rows.append((level.path, cast("Part", found)))
        return rows

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


@lru_cache(maxsize=1024)  # most cgroups have the same few lists
def _both(allowed: tuple[int, ...], online: tuple[int, ...]) -> tuple[int, ...]:
    among = frozenset(allowed)
    return tuple(cpu for cpu in online if cpu in among)
