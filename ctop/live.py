"""Scenes of this machine, now.

The survey reads one number of every cgroup; everything else is read for the rows that are shown (`Live.look`).
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from cgroup_model.collect import Collector, boot_seconds
from cgroup_model.engines import Kind, Resolver, container_path
from cgroup_model.hierarchy import Cgroup, Tree
from cgroup_model.history import History
from cgroup_model.host import HostFiles
from cgroup_model.inventory import Inventory
from cgroup_model.machine import Machine, MachineFiles, busy_ratio
from cgroup_model.mounts import discover_mounts
from cgroup_model.network import Network
from cgroup_model.procfs import Proc
from cgroup_model.rates import Moment, per_second, rates
from cgroup_model.snapshot import Need
from cgroup_model.source import Source
from cgroup_model.survey import Survey
from ctop.scene import Brief, Entry, Scene

_FORGET_SECONDS: Final = 30.0  # a row that was out of sight for longer starts its rates afresh
_CONTROLLERS: Final = ("memory", "cpu", "io", "pids")
_USEC: Final = 1e6


@dataclass(slots=True)
class _Memory:
    """What is remembered of one cgroup between looks."""

    inode: int
    cpu_usec: int | None = None
    surveyed_at: float = 0.0
    moment: Moment | None = None


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
        self.source = Source()
        self.tree = Tree(self.mounts, self.source, container_path=container_path, proc_root=proc_root)
        self._proc = Proc(proc_root)
        self._host = HostFiles(proc_root, sys_root)
        self.history = History(self.tree, self.source, self._proc)
        self.collector = Collector(self.tree, self.source, self._host, history=self.history, clock=clock)
        self._machine = MachineFiles(self._host, proc_root)
        self._survey = Survey(self.tree, self.source)
        self._network = Network(self.tree, self.source, self._proc)
        self._resolver = Resolver(fs_root)
        self._inventory = Inventory(self.tree)
        self._clock = clock
        self._wall = wall
        self._remembered: dict[str, _Memory] = {}
        self._before: Machine | None = None
        self._cgroups: dict[str, Cgroup] = {}
        self._hostname = socket.gethostname()
        self._is_first = True

    def survey(self, parts: frozenset[str], needs: Need) -> Scene:
        """Look at every cgroup; see `Scenes.survey`."""
        machine = self._machine.read()
        self._cgroups = dict(self._inventory.cgroups())
        remembered = self._remembered
        self._remembered = {}
        entries = {}
        for path, cgroup in self._cgroups.items():
            known = remembered.get(path)
            is_new = known is None or known.inode != cgroup.inode
            memory = _Memory(cgroup.inode) if known is None or is_new else known
            self._remembered[path] = memory
            entries[path] = Entry(
                path,
                cgroup.inode,
                self._resolver.identify(path, cgroup.inode),
                self._brief(cgroup, memory, parts),
                cpus=machine.cpus,
                memory_total=machine.memory_total,
                is_new=is_new and not self._is_first,
            )
        self._is_first = False
        self.history.keep_only((path, one.inode) for path, one in self._remembered.items())
        scene = Scene(
            taken_at=self._wall(),
            machine=machine,
            world=self.mounts.world,
            entries=entries,
            cpu_ratio=busy_ratio(self._before, machine),
            missing=tuple(name for name in _CONTROLLERS if self.mounts.for_controller(name) is None),
            hostname=self._hostname,
            notes=self._notes(),
        )
        self._before = machine
        return self.look(scene, list(entries), needs) if needs else scene

    def look(self, scene: Scene, paths: list[str], needs: Need, *, network: bool = False) -> Scene:
        """Read more of a few cgroups; see `Scenes.look`."""
        if needs & Need.LOAD:
            self.history.sample_loads()
        wanted = [self._cgroups[path] for path in paths if path in self._cgroups]
        entries = dict(scene.entries)
        for cgroup, snapshot in self.collector.snapshots(wanted, needs):
            entry = entries.get(cgroup.path)
            memory = self._remembered.get(cgroup.path)
            if entry is None or memory is None or memory.inode != cgroup.inode:
                continue
            interfaces = None
            if network:
                inside = entry.identity.kind in {Kind.CONTAINER, Kind.POD}
                interfaces = self._network.read(cgroup, below=inside)
            moment = Moment(cgroup.inode, snapshot, interfaces)
            before = memory.moment
            if before is not None and snapshot.taken_at - before.snapshot.taken_at > _FORGET_SECONDS:
                before = None
            memory.moment = moment
            entries[cgroup.path] = replace(entry, moment=moment, rates=rates(before, moment))
        return replace(scene, entries=entries)

    def close(self) -> None:
        """Give back every descriptor."""
        self._inventory.close()
        self.tree.close()
        self.source.close()
        self._host.close()
        self._proc.close()

    def _brief(self, cgroup: Cgroup, memory: _Memory, parts: frozenset[str]) -> Brief:
        cores = None
        if "cpu" in parts:
            usec, now = self._survey.cpu_usec(cgroup), self._clock()
            seconds = now - memory.surveyed_at
            if seconds > 0:
                cores = per_second(memory.cpu_usec, usec, seconds * _USEC)
            memory.cpu_usec, memory.surveyed_at = usec, now
        return Brief(
            cpu_cores=cores,
            memory_bytes=self._survey.memory_bytes(cgroup) if "memory" in parts else None,
            pids=self._survey.pids(cgroup) if "pids" in parts else None,
        )

    def _notes(self) -> tuple[str, ...]:
        """What may not be read, a line per part: what is only missing in this kernel is no news."""
        refused: dict[str, int] = {}
        for (part, reason), times in self.collector.problems.items():
            if reason in {"EACCES", "EPERM"}:
                refused[part] = refused.get(part, 0) + times
        return tuple(f"not allowed to read {part}" for part in sorted(refused))
