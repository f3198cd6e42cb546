"""One pass over all containers: each is read once, and every family takes from that snapshot what it knows.

A family that fails loses its own values of that container and is reported by ``cgroup_exporter_collector_success``;
the page is written all the same. A cgroup that vanishes meanwhile is simply not on the page.
"""

from __future__ import annotations

import contextlib
import functools
import operator
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from cgroup_model.collect import Collector as SnapshotCollector
from cgroup_model.engines import Identity, Resolver
from cgroup_model.hierarchy import Cgroup, Tree
from cgroup_model.mounts import OutOfSight
from cgroup_model.snapshot import Host, Memory, Need, Snapshot
from cgroup_model.source import CgroupGone, Source
from exporters.labels import NO_NAMES, Names, Naming, names_of
from exporters.metric import Family
from exporters.readers.machine import MachineReading
from exporters.sheet import Part, Sheet
from exporters.status import Outcome, Status
from exporters.subject import ROOT, Machine, Subject, World
from exporters.takers import Crew, Takers

_SELF: Final = "exporter"  # the family that tells how the others did


@dataclass(frozen=True, slots=True)
class Model:
    """The parts of `cgroup_model` that a scrape works with."""

    tree: Tree
    source: Source
    snapshots: SnapshotCollector
    resolver: Resolver


class Scraper:
    """Scrapes. One at a time: the caller sees to that."""

    def __init__(
        self,
        model: Model,
        world: World,
        families: Mapping[str, Family],
        *,
        naming: Naming = "cadvisor",
        max_series: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``families`` are those that are switched on; ``max_series`` 0 is no bound."""
        self.families = families
        self.status = Status(world=model.tree.mounts.world)
        self._model = model
        self._world = world
        self._naming = naming
        self._max_series = max_series
        self._clock = clock
        self._names: dict[tuple[str, int], tuple[Identity, Names]] = {}
        self._takers = Takers()

    def scrape(self, only: Collection[str] | None = None) -> Sheet:
        """Read everything anew; with ``only``, the families of these names."""
        wanted = [family for name, family in self.families.items() if only is None or name in only]
        sheet = Sheet(wanted)
        outcomes = {family.name: Outcome() for family in wanted}
        began = time.perf_counter()
        self._begin()
        machine = self._machine(wanted)
        self._scrape_containers(sheet, [one for one in wanted if one.of == "container"], outcomes, machine)
        for family in wanted:
            if family.of == "machine" and family.name != _SELF:
                self._take(sheet.parts[family.name], machine, NO_NAMES, outcomes[family.name])
        self._finish(outcomes, began)
        if _SELF in sheet.parts:
            self._take(sheet.parts[_SELF], machine, NO_NAMES, outcomes[_SELF])
        return sheet

    def scrape_one(self, path: str) -> Sheet:
        """Read one cgroup anew, with all families that are switched on. One that is gone leaves the sheet empty."""
        families = [family for family in self.families.values() if family.of == "container"]
        sheet = Sheet(families)
        crew = Crew((sheet.parts[family.name], Outcome()) for family in families if family.when(self._world))
        needs = functools.reduce(operator.or_, (family.needs for family in families), Need.NOTHING)
        self._begin()
        machine = self._machine(families)
        with contextlib.suppress(CgroupGone, OutOfSight):
            cgroup = self._model.tree.cgroup(path)
            for subject in self._subjects([cgroup], needs, machine):
                if subject.cgroup is cgroup:
                    crew.place(*self._takers.take(crew, subject))
            crew.done()
        return sheet

    def identity(self, cgroup: Cgroup) -> tuple[Identity, Names]:
        """Name a container; kept while its identity stays the same object."""
        key = (cgroup.path, cgroup.inode)
        identity = self._model.resolver.identify(*key)
        known = self._names.get(key)
        if known is None or known[0] is not identity:
            known = self._names[key] = identity, names_of(cgroup.path, identity, self._naming)
        return known

    # ---------------------------------------------------------------------------------------- internals

    def _begin(self) -> None:
        self._world.begin()
        self._takers.begin(self._world.settings)

    def _machine(self, wanted: Collection[Family]) -> Machine:
        reader = self._world.machine
        needed = any(family.of == "machine" or family.name == "memory" for family in wanted)
        reading = reader.read() if reader is not None and needed else None
        return Machine(self._world, self._clock(), reading, self.status)

    def _cgroups(self) -> list[Cgroup]:
        """List the cgroups to export, oldest first: inode numbers of cgroups only grow."""
        tree = self._model.tree
        if not tree.is_live:
            tree.refresh()
        cgroups = sorted(tree.containers().values(), key=lambda cgroup: cgroup.inode)
        try:
            return [tree.cgroup(ROOT), *cgroups]
        except (CgroupGone, OutOfSight):  # in a container, the real root is out of sight
            return cgroups

    def _scrape_containers(
        self, sheet: Sheet, families: list[Family], outcomes: Mapping[str, Outcome], machine: Machine
    ) -> None:
        if not families:
            return
        needs = Need.NOTHING
        for family in families:
            needs |= family.needs
        cgroups = self._cgroups()
        self._forget_others(cgroups)
        status = self.status
        status.containers = status.series = 0
        status.read_seconds = 0.0
        asked = (family for family in families if family.when(self._world))
        crew = Crew((sheet.parts[family.name], outcomes[family.name]) for family in asked)
        seen: set[str] = set()
        vanished = len(cgroups)
        for subject in self._subjects(cgroups, needs, machine):
            vanished -= not subject.departed
            if subject.names.text in seen:
                continue  # two names that only differ in bytes that are no text: one series of each name is allowed
            seen.add(subject.names.text)
            steady, others = self._takers.take(crew, subject)
            size = steady.size + others.size
            if self._max_series and status.series + size > self._max_series:
                status.series_dropped += size
                continue
            status.series += size
            status.containers += 1
            crew.place(steady, others)
        crew.done()
        status.vanished += vanished

    def _subjects(self, cgroups: list[Cgroup], needs: Need, machine: Machine) -> Iterator[Subject]:
        """Yield each cgroup with its snapshot, then those that are gone and remembered."""
        before = time.perf_counter()
        for cgroup, snapshot in self._model.snapshots.snapshots(cgroups, needs):
            whole = as_machine(snapshot, machine.reading) if cgroup.path == ROOT else snapshot
            identity, names = self.identity(cgroup)
            self.status.read_seconds += time.perf_counter() - before
            yield Subject(cgroup, whole, identity, names, self._world, machine.now)
            before = time.perf_counter()
        yield from self._departed(cgroups, machine)

    def _departed(self, cgroups: list[Cgroup], machine: Machine) -> Iterator[Subject]:
        """Yield the cgroups that are gone and had an OOM kill, as far as they would be exported if they lived."""
        if self._world.oom is None:
            return
        alive = {cgroup.path for cgroup in cgroups}
        for account in self._world.oom.departed():
            if account.identity is None or account.path in alive:
                continue
            names = names_of(account.path, account.identity, self._naming)
            snapshot = Snapshot(path=account.path, host=Host())
            cgroup = Cgroup(account.path, 0, {})
            yield Subject(cgroup, snapshot, account.identity, names, self._world, machine.now, departed=True)

    def _take(self, parts: list[Part], machine: Machine, names: Names, outcome: Outcome) -> None:
        """Let a family of the machine take its values."""
        began = time.perf_counter()
        for part in parts:
            try:
                part.rows += [(names, labels, part.group.values(one)) for labels, one in part.group.rows(machine)]
            except Exception as error:  # noqa: BLE001 - as above
                self._takers.failed(part.family.name, outcome, error)
        outcome.duration_seconds += time.perf_counter() - began

    def _forget_others(self, cgroups: list[Cgroup]) -> None:
        alive = {(cgroup.path, cgroup.inode) for cgroup in cgroups}
        for key in self._names.keys() - alive:
            del self._names[key]
        self._takers.keep_only(alive)
        self._model.resolver.keep_only(alive)
        self._world.keep_only(alive)

    def _finish(self, outcomes: dict[str, Outcome], began: float) -> None:
        status, stats = self.status, self._model.source.stats
        status.scrapes += 1
        status.outcomes = outcomes
        status.problems = dict(self._model.snapshots.problems)
        status.open_descriptors, status.descriptor_budget = stats.open_descriptors, stats.budget
        status.scrape_seconds = time.perf_counter() - began


def as_machine(snapshot: Snapshot, reading: MachineReading | None) -> Snapshot:
    """Fill in what the root cgroup of v2 has no files for: all memory and swap that the machine uses."""
    memory = snapshot.memory
    if memory is None or memory.current is not None or reading is None:
        return snapshot
    return replace(snapshot, memory=_filled(memory, reading))


def _filled(memory: Memory, reading: MachineReading) -> Memory:
    def used(total: int | None, free: int | None) -> int | None:
        return None if total is None or free is None else total - free

    return replace(
        memory,
        current=used(reading.memory_bytes, reading.memory_free_bytes),
        swap_current=used(reading.swap_bytes, reading.swap_free_bytes),
    )
