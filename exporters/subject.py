"""What families select from: a container with its snapshot and identity, or the machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import TYPE_CHECKING

from cgroup_model.engines import Identity
from cgroup_model.hierarchy import Cgroup
from cgroup_model.host import HostFiles
from cgroup_model.record import dataclass
from cgroup_model.snapshot import Need, Snapshot
from exporters.labels import Names
from exporters.readers.devices import device_names

if TYPE_CHECKING:
    from cgroup_model.engines import Resolver
    from exporters.alerts.board import Board
    from exporters.readers.filesystem import FilesystemReader
    from exporters.readers.machine import MachineReader, MachineReading
    from exporters.readers.network import NetworkReader
    from exporters.readers.numa import NumaReader
    from exporters.readers.oom import OomReader
    from exporters.readers.oomd import OomdReader
    from exporters.readers.processes import ProcessReader
    from exporters.readers.procfs_fuse import ProcfsFuseReader
    from exporters.readers.schedstat import SchedstatReader
    from exporters.readers.starts import StartReader
    from exporters.readers.states import StateReader
    from exporters.status import Status

ROOT = "/"


@dataclass(slots=True)
class World:
    """What reads more than control files; injected. None: this exporter does not read it.

    ``device_names`` maps (8, 0) to "/dev/sda", ``engine_labels`` are those that users chose to see.
    """

    machine: MachineReader | None = None
    host: HostFiles | None = None
    network: NetworkReader | None = None
    processes: ProcessReader | None = None
    filesystem: FilesystemReader | None = None
    starts: StartReader | None = None
    oom: OomReader | None = None
    oomd: OomdReader | None = None
    numa: NumaReader | None = None
    states: StateReader | None = None
    procfs_fuse: ProcfsFuseReader | None = None
    schedstat: SchedstatReader | None = None
    resolver: Resolver | None = None
    alerts: Board | None = None
    device_names: Mapping[tuple[int, int], str] = field(default_factory=dict)
    engine_labels: tuple[str, ...] = ()
    proc_root: str = "/proc"
    fs_root: str = "/"

    def begin(self) -> None:
        """Begin a scrape."""
        if self.host is not None:
            self.device_names = device_names(self.host.read(Need.HOST_DISKSTATS).diskstats or b"")
        if self.network is not None:
            self.network.begin()
        if self.oom is not None:
            self.oom.begin()
        if self.procfs_fuse is not None:
            self.procfs_fuse.begin()

    @property
    def settings(self) -> tuple[object, ...]:
        """What containers' values are made of that holds for all of them."""
        return self.device_names, self.engine_labels

    def keep_only(self, alive: set[tuple[str, int]]) -> None:
        """Forget what is remembered of all cgroups but these (path, inode)."""
        for reader in (self.network, self.starts, self.filesystem, self.schedstat, self.oom):
            if reader is not None:
                reader.keep_only(alive)
        if self.alerts is not None and self.alerts.container_logs is not None:
            self.alerts.container_logs.keep_only(alive)


@dataclass(frozen=True, slots=True)
class Subject:
    """One container (or unit, or the root) at one moment."""

    cgroup: Cgroup
    snapshot: Snapshot
    identity: Identity
    names: Names
    world: World
    now: float  # seconds since the epoch
    departed: bool = False  # the cgroup is gone: the snapshot is empty

    @property
    def is_root(self) -> bool:
        """True for the root cgroup, which is the whole machine."""
        return self.cgroup.path == ROOT

    @property
    def is_empty(self) -> bool:
        """True when it is known to have no process: looking for some costs more than asking."""
        pids = self.snapshot.pids
        return pids is not None and pids.current == 0 and not self.is_root


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine at one moment, with what the exporter knows of itself."""

    world: World
    now: float  # seconds since the epoch
    reading: MachineReading | None = None
    status: Status | None = None
