"""The collector: which parts a snapshot needs, and whether it is of the right cgroup."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Protocol

from cgroup_model.collect.kit import Kit
from cgroup_model.collect.look import LevelCache, Look
from cgroup_model.collect.problems import Problems
from cgroup_model.hierarchy import Cgroup, Tree
from cgroup_model.host import ONLINE, HostFiles
from cgroup_model.snapshot import Cpu, CpuTimes, Host, Load, Need, Policy, ShownCpus, Snapshot, Tasks
from cgroup_model.source import CgroupGone, Source

# Plain numbers: operators of enum.Flag cost more than reading a file does, and `value` is a property in Python.
_MEMORY: Final = (Need.MEMORY | Need.MEMORY_DETAIL).value
_MEMORY_DETAIL: Final = Need.MEMORY_DETAIL.value
_CPU: Final = (Need.CPU | Need.CPU_TIMES | Need.CPU_PER_CPU).value
_CPU_DETAIL: Final = Need.CPU.value
_CPUS: Final = (Need.CPUS | Need.CPU_TIMES).value
_PER_CPU: Final = (Need.CPU_PER_CPU | Need.CPU_TIMES).value
_CPU_TIMES: Final = Need.CPU_TIMES.value
_CPUSET: Final = Need.CPUSET.value
_IO: Final = Need.IO.value
_PIDS: Final = Need.PIDS.value
_PRESSURE: Final = Need.PRESSURE.value
_HUGETLB: Final = Need.HUGETLB.value
_CORE: Final = Need.CORE.value
_SLABINFO: Final = Need.SLABINFO.value
_AGE: Final = Need.AGE.value
_TASKS: Final = Need.TASKS.value
_LOAD: Final = Need.LOAD.value
_SETTINGS: Final = _MEMORY | _CPU | _CPUS | _CPUSET | _IO | _PIDS | _HUGETLB
"""Needs for which files are read that only a write changes."""

_MOST_REMEMBERED: Final = 16384  # cgroups


class History(Protocol):
    """Answers that need more than one look: what accumulates, and what is counted over processes."""

    def cpu_times(self, cgroup: Cgroup, cpu: Cpu | None, shown: ShownCpus) -> CpuTimes | None:
        """Accumulated time of each shown CPU."""

    def age(self, cgroup: Cgroup) -> float | None:
        """Seconds since the container started."""

    def boot_offset(self, cgroup: Cgroup) -> float:
        """How far the container's boot clock is ahead of the machine's; seconds."""

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
        self._alive_when: dict[Cgroup, int] = {}  # -> how many descriptors the source had opened when it was seen
        self._online_cpus: tuple[int, ...] = ()
        tree.when_forgotten.append(self._forget)
        self._kit = Kit.of(tree.mounts, source, policy or Policy(), self.problems)

    @property
    def policy(self) -> Policy:
        """What the operator chose to show."""
        return self._kit.policy

    def snapshot(self, cgroup: Cgroup, needs: Need) -> Snapshot:
        """Read what ``needs`` asks for, each file once; raises `CgroupGone`."""
        return self._sure(cgroup, needs._value_, self._begin(needs), {})

    def open_pressure(self, cgroup: Cgroup, resource: str) -> int:
        """Open the cgroup's own pressure file of ``cpu``, ``memory`` or ``io``, for a trigger.

        The descriptor is the caller's. Raises `Missing`, `CgroupGone` and OSError.
        """
        dialect = self._kit.dialects["pressure"]
        descriptor = dialect.open_pressure(self._kit.source, self._tree.layout(cgroup).directories, resource)
        if not self._tree.is_alive(cgroup):  # it may be a successor's
            os.close(descriptor)
            raise CgroupGone(self._tree.layout(cgroup).home)
        return descriptor

    def machine(self, needs: Need) -> Snapshot:
        """Read the host's files alone: what is known of the machine as a whole."""
        return Snapshot(path="/", host=self._host.read(needs), policy=self._kit.policy, taken_at=self._clock())

    def snapshots(self, cgroups: Iterable[Cgroup], needs: Need) -> Iterator[tuple[Cgroup, Snapshot]]:
        """Yield a snapshot of each cgroup that is still there.

        The host's files and those of common ancestors are read once for all.
        """
        host = self._begin(needs)
        levels: LevelCache = {}
        for cgroup in cgroups:
            try:
                yield cgroup, self._sure(cgroup, needs._value_, host, levels)
            except CgroupGone:
                continue

    def _begin(self, needs: Need) -> Host:
        """Read the host's files, and forget settings that are not what they were."""
        source, host = self._kit.source, self._host.read(needs)
        if needs._value_ & _SETTINGS:
            source.refresh()
        if needs._value_ & ONLINE and host.online_cpus != self._online_cpus:
            self._online_cpus = host.online_cpus
            source.clear_settings()
        return host

    def _sure(self, cgroup: Cgroup, wanted: int, host: Host, levels: LevelCache) -> Snapshot:
        """Take a snapshot of this very cgroup, whatever was removed and made again under its path.

        Kept descriptors may be of a predecessor, and files may be a successor's. A cgroup that is alive afterwards
        was alive all the time, so everything that was opened meanwhile was its own. And if nothing was opened since
        it was last seen alive, what could be read was open then, so it is its own and it lives: no need to look.
        """
        try:
            snapshot = self._snapshot(cgroup, wanted, host, levels)
        except CgroupGone:
            self._tree.forget(cgroup.path)
            if not self._tree.is_alive(cgroup):
                raise
            snapshot = self._snapshot(cgroup, wanted, host, levels)
        opened = self._kit.source.opened
        if self._alive_when.get(cgroup) == opened and (snapshot.memory is not None or snapshot.cpu is not None):
            return snapshot
        if not self._tree.is_alive(cgroup):
            self._tree.forget(cgroup.path)
            self._forget(cgroup)
            raise CgroupGone(self._tree.layout(cgroup).home)
        if len(self._alive_when) >= _MOST_REMEMBERED:
            self._alive_when.clear()
        self._alive_when[cgroup] = opened
        return snapshot

    def _forget(self, cgroup: Cgroup) -> None:
        self._alive_when.pop(cgroup, None)

    def _snapshot(self, cgroup: Cgroup, wanted: int, host: Host, levels: LevelCache) -> Snapshot:
        look = Look(cgroup, self._tree.layout(cgroup), host, levels, self._kit)
        history = self._history
        taken_at = self._clock()
        detail = bool(wanted & _MEMORY_DETAIL)
        memory = look.memory(detail=detail) if wanted & _MEMORY else None
        in_detail = self._kit.policy.throttled_as_steal or bool(wanted & _CPU_DETAIL)
        cpu = look.cpu(detail=in_detail, per_cpu=bool(wanted & _PER_CPU)) if wanted & _CPU else None
        cpuset = look.cpuset() if wanted & _CPUSET else None
        cpus = look.shown_cpus(cpu, cpuset) if wanted & _CPUS else None
        return Snapshot(
            path=cgroup.path,
            host=host,
            policy=self._kit.policy,
            taken_at=taken_at,
            age_seconds=look.attempt("age", history.age, cgroup) if history and wanted & _AGE else None,
            boot_offset_seconds=(
                look.attempt("age", history.boot_offset, cgroup) if history and wanted & _CPU_TIMES else None
            ),
            memory=memory,
            memory_bounds=look.memory_bounds(memory, detail=detail) if wanted & _MEMORY else None,
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
            slabinfo=look.slabinfo() if wanted & _SLABINFO else None,
            tasks=look.attempt("tasks", history.tasks, cgroup) if history and wanted & _TASKS else None,
            load=look.attempt("load", history.load, cgroup) if history and wanted & _LOAD else None,
        )
