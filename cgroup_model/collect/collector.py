"""The collector: which parts a snapshot needs, and whether it is of the right cgroup."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from cgroup_model.collect.kit import Kit
from cgroup_model.collect.look import LevelCache, Look
from cgroup_model.collect.plan import IO, OF_HISTORY, SETTINGS, History, Step, plan
from cgroup_model.collect.problems import Problems
from cgroup_model.collect.unchanged import Unchanged
from cgroup_model.hierarchy import Cgroup, Tree
from cgroup_model.host import ONLINE, HostFiles
from cgroup_model.snapshot import Host, Need, Policy, Snapshot
from cgroup_model.source import CgroupGone, Source

_MOST_REMEMBERED: Final = 16384  # cgroups


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
        self._plans: dict[int, tuple[Step, ...]] = {}  # by the value of what is needed
        self._alive_when: dict[Cgroup, int] = {}  # -> how many descriptors the source had opened when it was seen
        self._online_cpus: tuple[int, ...] = ()
        tree.when_forgotten.append(self._forget)
        self._kit = Kit.of(tree.mounts, source, policy or Policy(), self.problems)
        self._unchanged = Unchanged(source)

    @property
    def policy(self) -> Policy:
        """What the operator chose to show."""
        return self._kit.policy

    def snapshot(self, cgroup: Cgroup, needs: Need) -> Snapshot:
        """Read what ``needs`` asks for, each file once; raises `CgroupGone`."""
        return self._sure(cgroup, needs._value_, self._begin(needs), LevelCache())

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
        wanted = needs._value_
        host = self._begin(needs)
        levels = LevelCache()
        for cgroup in cgroups:
            try:
                yield cgroup, self._again(cgroup, wanted, host, levels)
            except CgroupGone:
                continue

    def _again(self, cgroup: Cgroup, wanted: int, host: Host, levels: LevelCache) -> Snapshot:
        """Take a snapshot; of the very parts of the one before if all files of the cgroup say the same."""
        if wanted & OF_HISTORY:  # nobody can tell whether a history would say the same
            return self._sure(cgroup, wanted, host, levels)
        look = Look(cgroup, self._tree.layout(cgroup), host, levels, self._kit)
        if levels.way is None:
            levels.way = (wanted, *look.circumstances(io=bool(wanted & IO)))
        way = levels.way
        taken_at = self._clock()
        parts = self._unchanged.parts(look, way)
        if parts is not None:
            return Snapshot(cgroup.path, host, self._kit.policy, taken_at, **parts)
        return self._unchanged.watched(look, way, lambda: self._sure(cgroup, wanted, host, levels))

    def _begin(self, needs: Need) -> Host:
        """Read the host's files, and forget settings that are not what they were."""
        source, host = self._kit.source, self._host.read(needs)
        if needs._value_ & SETTINGS:
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
        self._unchanged.forget(cgroup)

    def _snapshot(self, cgroup: Cgroup, wanted: int, host: Host, levels: LevelCache) -> Snapshot:
        look = Look(cgroup, self._tree.layout(cgroup), host, levels, self._kit)
        steps = self._plans.get(wanted)
        if steps is None:
            steps = plan(wanted, self._history, throttled_as_steal=self._kit.policy.throttled_as_steal)
            self._plans[wanted] = steps
        taken_at = self._clock()
        parts: dict[str, Any] = {}
        for part, read in steps:
            parts[part] = read(look, parts)
        return Snapshot(cgroup.path, host, self._kit.policy, taken_at, **parts)
