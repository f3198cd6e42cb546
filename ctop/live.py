"""Scenes of this machine, now.

The survey reads one number of every cgroup; everything else is read for the rows that are shown (`Live.look`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from cgroup_model.collect import Collector, boot_seconds
from cgroup_model.engines import Kind, Resolver, container_path
from cgroup_model.hierarchy import Cgroup, Tree
from cgroup_model.history import History
from cgroup_model.host import HostFiles
from cgroup_model.inventory import Inventory
from cgroup_model.machine import Machine, MachineFiles, busy_ratio
from cgroup_model.mounts import OutOfSight, discover_mounts
from cgroup_model.network import Network
from cgroup_model.procfs import Proc
from cgroup_model.rates import Moment, Rates, per_second, rates
from cgroup_model.record import dataclass
from cgroup_model.snapshot import Need, Snapshot
from cgroup_model.source import CgroupGone, Source
from cgroup_model.survey import Survey
from ctop.names import SOME, Names
from ctop.scene import Brief, Entry, Scene

_FORGET_SECONDS: Final = 30.0  # a row that was out of sight for longer starts its rates afresh
_AGELESS_SECONDS: Final = 5.0
_ABSENT_SECONDS: Final = 600.0  # files that a kernel lacks stay away; of one that is switched on the source hears
_SETTLED_SECONDS: Final = 60.0  # all cgroups are read in turn, over and over
_SHORTEST_SECONDS: Final = 0.2  # rates over less are noise: CPU time is counted in ticks
_CONTROLLERS: Final = ("memory", "cpu", "io", "pids")
_USEC: Final = 1e6
_ANSWERS: Final = 2048  # of the resolver; what is there now is remembered anyway, and churn is not worth it
_UNKNOWN: Final = Brief()
_IDLE: Final = Brief(0.0)


@dataclass(slots=True)
class _Memory:
    """What is remembered of one cgroup between looks."""

    inode: int
    counted: tuple[int, int | None] | None = None  # what the survey said last
    cpu_usec: int | None = None
    surveyed_at: float = 0.0
    cores: float | None = None
    ageless_until: float = 0.0  # nobody was inside
    before: Moment | None = None  # what rates are measured against
    moment: Moment | None = None
    entry: Entry | None = None  # of the last survey

    def rates(self, moment: Moment) -> Rates | None:
        """Take in a look and measure against the one before, which is at least `_SHORTEST_SECONDS` older."""
        last = self.moment
        if last is not None:
            age = moment.snapshot.taken_at - last.snapshot.taken_at
            if age >= _SHORTEST_SECONDS:
                self.before = last if age <= _FORGET_SECONDS else None
        self.moment = moment
        return rates(self.before, moment)

    def cpu_cores(self, counted: tuple[int, int | None] | None, now: float) -> float | None:
        """Take in a survey's CPU time and measure likewise; without one nothing is known."""
        if counted is None:
            return None
        self.counted = counted
        seconds, usec = now - self.surveyed_at, counted[1]
        if seconds >= _SHORTEST_SECONDS:
            self.cores = per_second(self.cpu_usec, usec, seconds * _USEC)
            self.cpu_usec, self.surveyed_at = usec, now
        return self.cores


class Live:
    """Looks at this machine. One thread."""

    def __init__(
        self,
        *,
        proc_root: str = "/proc",
        sys_root: str = "/sys",
        fs_root: str = "/",
        clock: Callable[[], float] = boot_seconds,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Open everything; raises `OutOfSight` when no cgroup file system is mounted."""
        self.mounts = discover_mounts(proc_root)
        self.source = Source(absent_seconds=_ABSENT_SECONDS, settled_seconds=_SETTLED_SECONDS, remember=True)
        self.tree = Tree(self.mounts, self.source, container_path=container_path, proc_root=proc_root)
        self._proc = Proc(proc_root)
        self._host = HostFiles(proc_root, sys_root)
        self.history = History(self.tree, self.source, self._proc, boottime=clock, monotonic=clock)
        self.collector = Collector(self.tree, self.source, self._host, history=self.history, clock=clock)
        self._machine = MachineFiles(self._host, proc_root)
        self._survey = Survey(self.tree, self.source)
        self._network = Network(self.tree, self.source, self._proc)
        self._names = Names(Resolver(fs_root, most=_ANSWERS))
        self._inventory = Inventory(self.tree)
        self._clock = clock
        self._wall = wall
        self._remembered: dict[str, _Memory] = {}
        self._before: Machine | None = None
        self._machine_at = 0.0
        self._cpu_ratio: float | None = None
        self._inodes: dict[str, int] = {}  # by path
        self._hostname = os.uname().nodename
        self._is_first = True

    def survey(self, parts: frozenset[str], needs: Need) -> Scene:
        """Look at every cgroup; see `Scenes.survey`."""
        machine = self._machine.read()
        self._inodes = dict(self._inventory.cgroups())
        self._names.update(self._inodes, None if "names" in parts else SOME)
        entries = self._entries(machine, parts)
        self.history.keep_only((path, one.inode) for path, one in self._remembered.items())
        scene = Scene(
            taken_at=self._wall(),
            machine=machine,
            world=self.mounts.world,
            entries=entries,
            cpu_ratio=self._busy(machine),
            missing=tuple(name for name in _CONTROLLERS if self.mounts.for_controller(name) is None),
            hostname=self._hostname,
            notes=self._notes(),
        )
        return self.look(scene, list(entries), needs) if needs else scene

    def _entries(self, machine: Machine, parts: frozenset[str]) -> dict[str, Entry]:
        """Make the entries; of a cgroup about which nothing new is known it is the one of the last look."""
        usecs = self._survey.cpu_usecs(self._inodes) if "cpu" in parts else {}
        now = self._clock()
        remembered, self._remembered = self._remembered, {}
        names = self._names.known
        counts_more = bool(parts & {"memory", "pids"})
        entries = {}
        for path, inode in self._inodes.items():
            memory = remembered.get(path)
            if memory is None or memory.inode != inode:
                memory = _Memory(inode)
            self._remembered[path] = memory
            entry, counted = memory.entry, usecs.get(path)
            if (  # most are idle: nothing happened, and that was so at the last look, too
                entry is None
                or entry.brief is not _IDLE
                or counted is not memory.counted
                or counted is None
                or counts_more
                or entry.is_new
                or entry.identity is not names[path][1]
                or entry.cpus != machine.cpus
            ):
                entry = self._entry(path, memory, self._brief(path, memory.cpu_cores(counted, now), parts), machine)
            else:
                memory.surveyed_at = now
            entries[path] = entry
        self._is_first = False
        return entries

    def _entry(self, path: str, memory: _Memory, brief: Brief, machine: Machine) -> Entry:
        """The entry of one cgroup; the last one again where nothing new is known."""
        last, identity = memory.entry, self._names.of(path, memory.inode)
        is_same = last is not None and last.brief == brief and last.identity is identity
        if last is not None and is_same and not last.is_new and last.cpus == machine.cpus:
            return last
        memory.entry = Entry(
            path,
            memory.inode,
            identity,
            brief,
            cpus=machine.cpus,
            memory_total=machine.memory_total,
            is_new=last is None and not self._is_first,
        )
        return memory.entry

    def look(self, scene: Scene, paths: list[str], needs: Need, *, network: bool = False) -> Scene:
        """Read more of a few cgroups; see `Scenes.look`."""
        if needs & Need.LOAD:
            self.history.sample_loads()
        entries = dict(scene.entries)
        for cgroup, snapshot in self._snapshots(paths, needs):
            entry, memory = entries[cgroup.path], self._remembered[cgroup.path]
            identity = self._names.ask(cgroup.path, cgroup.inode)
            if snapshot.age_seconds is None and needs & Need.AGE:
                memory.ageless_until = self._clock() + _AGELESS_SECONDS
            interfaces = None
            if network:
                inside = identity.kind in {Kind.CONTAINER, Kind.POD}
                interfaces = self._network.read(cgroup, below=inside)
            moment = Moment(cgroup.inode, snapshot, interfaces)
            entries[cgroup.path] = replace(entry, identity=identity, moment=moment, rates=memory.rates(moment))
        return replace(scene, entries=entries)

    def _busy(self, machine: Machine) -> float | None:
        now = self._clock()
        if now - self._machine_at >= _SHORTEST_SECONDS:
            self._cpu_ratio = busy_ratio(self._before, machine)
            self._before, self._machine_at = machine, now
        return self._cpu_ratio

    def members(self, entry: Entry) -> list[int]:
        """Processes of the subtree; none when the cgroup is gone."""
        cgroup = self._cgroup(entry.path)
        if cgroup is None or cgroup.inode != entry.inode:
            return []
        try:
            return sorted(self.history.members(cgroup).processes)
        except CgroupGone:
            return []

    def _cgroup(self, path: str) -> Cgroup | None:
        """Where the files of a cgroup are; None when the one that the last survey saw is gone."""
        try:
            found = self.tree.cgroup(path)
        except (CgroupGone, OutOfSight):
            return None
        return found if self._inodes.get(path) == found.inode else None

    @property
    def is_over(self) -> bool:
        """Never: there is always a next look."""
        return False

    def close(self) -> None:
        """Give back every descriptor."""
        self._inventory.close()
        self.tree.close()
        self.source.close()
        self._host.close()
        self._proc.close()

    def _snapshots(self, paths: list[str], needs: Need) -> Iterator[tuple[Cgroup, Snapshot]]:
        """Look at what is still there. The age of a large empty subtree costs much and is asked for now and then."""
        now = self._clock()
        known = [cgroup for path in paths if (cgroup := self._cgroup(path)) is not None]
        empty = [one for one in known if self._remembered[one.path].ageless_until > now] if needs & Need.AGE else []
        if not empty:
            yield from self.collector.snapshots(known, needs)
            return
        skipped = {one.path for one in empty}
        yield from self.collector.snapshots((one for one in known if one.path not in skipped), needs)
        yield from self.collector.snapshots(empty, needs & ~Need.AGE)

    def _brief(self, path: str, cores: float | None, parts: frozenset[str]) -> Brief:
        memory = self._survey.memory_bytes(path) if "memory" in parts else None
        pids = self._survey.pids(path) if "pids" in parts else None
        if memory is None and pids is None:
            return _IDLE if cores == 0.0 else _UNKNOWN if cores is None else Brief(cores)
        return Brief(cores, memory, pids)

    def _notes(self) -> tuple[str, ...]:
        """What may not be read, a line per part: what is only missing in this kernel is no news."""
        refused: dict[str, int] = {}
        for (part, reason), times in self.collector.problems.items():
            if reason in {"EACCES", "EPERM"}:
                refused[part] = refused.get(part, 0) + times
        return tuple(f"not allowed to read {part}" for part in sorted(refused))
