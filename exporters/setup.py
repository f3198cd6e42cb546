"""Puts the parts together: the model, the readers, the families that are switched on."""

from __future__ import annotations

import contextlib
import resource
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Self

from cgroup_model.collect import Collector
from cgroup_model.engines import Resolver, match
from cgroup_model.hierarchy import Tree
from cgroup_model.history import History
from cgroup_model.host import HostFiles
from cgroup_model.kmsg import DEVICE
from cgroup_model.mounts import Mounts, discover_mounts
from cgroup_model.oom import OomMonitor
from cgroup_model.oom.watches import MOST_REGISTERED
from cgroup_model.procfs import Proc
from cgroup_model.source import RESERVED_DESCRIPTORS, Source, default_budget
from exporters.collector import Model, Scraper
from exporters.families import FAMILIES
from exporters.labels import Naming
from exporters.metric import Family
from exporters.readers.filesystem import FilesystemReader
from exporters.readers.machine import MachineReader
from exporters.readers.members import Members
from exporters.readers.network import NetworkReader
from exporters.readers.numa import NumaReader
from exporters.readers.oom import OomReader
from exporters.readers.oomd import OomdReader
from exporters.readers.processes import ProcessReader
from exporters.readers.procfs_fuse import ProcfsFuseReader, state_dir
from exporters.readers.schedstat import SchedstatReader
from exporters.readers.starts import StartReader
from exporters.readers.states import StateReader
from exporters.selection import Which, selector
from exporters.subject import World

# Longer than a usual scrape interval: a scrape reads everything in turn.
_SETTLED_SECONDS: Final = 180.0
# Files that a kernel lacks stay away; of a controller that is switched on the source hears, or, without inotify, sees
# the files after this.
_ABSENT_SECONDS: Final = 600.0
# Control files of 1,000 containers on v1 are more than most machines allow a process; each costs the kernel 4 KiB.
_MOST_DESCRIPTORS: Final = 24576
_RESERVED: Final = RESERVED_DESCRIPTORS + 128  # connections of clients; files of /proc, logs


@dataclass(frozen=True, slots=True)
class Settings:
    """What decides about the content of the page. ``collectors`` switches families: name -> on or off."""

    cgroups: Which = "containers"
    naming: Naming = "cadvisor"
    max_series: int = 1_000_000
    container_labels: tuple[str, ...] = ()
    collectors: Mapping[str, bool] = field(default_factory=dict)
    proc_root: str = "/proc"
    sys_root: str = "/sys"
    cgroup_root: str | None = None
    fs_root: str = "/"
    kmsg: str | None = DEVICE
    oom_state: str | None = None
    """Where OOM kills are remembered; None: nowhere."""

    @property
    def machine(self) -> tuple[str | None, ...]:
        """Which machine is looked at, and where what is known of it is kept."""
        return self.proc_root, self.sys_root, self.cgroup_root, self.fs_root, self.oom_state

    def families(self) -> dict[str, Family]:
        """Name -> family, of those that are switched on."""
        return {name: one for name, one in FAMILIES.items() if self.collectors.get(name, one.default)}


class Exporter:
    """Everything that is open. Raises OSError and `OutOfSight` when there are no cgroups to be seen."""

    def __init__(
        self, settings: Settings, clock: Callable[[], float] = time.time, *, heir_of: Exporter | None = None
    ) -> None:
        """``clock`` gives seconds of the epoch.

        ``heir_of`` is the exporter that this one is to replace: where both see the same machine, its ledger of OOM
        kills goes over to this one.
        """
        self.settings = settings
        self._bequeathed = False
        self._budget = _Budget.now()
        self.source = Source(
            self._budget.files, absent_seconds=_ABSENT_SECONDS, settled_seconds=_SETTLED_SECONDS, remember=True
        )
        mounts = discover_mounts(settings.proc_root, settings.cgroup_root)
        self.tree = Tree(
            mounts,
            self.source,
            container_path=selector(settings.cgroups),
            container_id=_container_id,
            proc_root=settings.proc_root,
        )
        self.proc = Proc(settings.proc_root)
        self.host = HostFiles(settings.proc_root, settings.sys_root)
        self.resolver = Resolver(settings.fs_root)
        # Lists of processes are read now and then: not worth a descriptor of every cgroup.
        self._lists = Source(budget=0)
        self.history = History(self.tree, self._lists, self.proc)
        self.collector = Collector(self.tree, self.source, self.host, history=self.history)
        self.filesystem = FilesystemReader(Members(self.tree, self._lists), settings.proc_root, settings.fs_root)
        inherits = heir_of is not None and heir_of.settings.machine == settings.machine
        self.oom = heir_of.bequeath() if heir_of is not None and inherits else self._monitor(mounts, clock)
        self.world = self._world()
        self.scraper = Scraper(
            Model(self.tree, self.source, self.collector, self.resolver),
            self.world,
            settings.families(),
            naming=settings.naming,
            max_series=settings.max_series,
            clock=clock,
        )

    def watch(self) -> None:
        """Have OOM kills notified from now on; without, they are counted at each scrape."""
        self.oom.start()

    def close(self) -> None:
        """End the threads that watch and measure, and close all descriptors."""
        if not self._bequeathed:
            self.oom.close()
        self.filesystem.close()
        self.tree.close()
        self.source.close()
        self.host.close()
        self.proc.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def bequeath(self) -> OomMonitor:
        """Give the ledger of OOM kills to a successor, who closes it."""
        self._bequeathed = True
        return self.oom

    def _monitor(self, mounts: Mounts, clock: Callable[[], float]) -> OomMonitor:
        settings = self.settings
        return OomMonitor(
            mounts,
            proc_root=settings.proc_root,
            kmsg=settings.kmsg,
            state_path=settings.oom_state,
            identify=Resolver(settings.fs_root).identify,
            most_watched=self._budget.watches,
            clock=clock,
        )

    def _world(self) -> World:
        members = Members(self.tree, self._lists)
        return World(
            machine=MachineReader(self.host, self.settings.proc_root),
            host=self.host,
            network=NetworkReader(members, self.proc),
            processes=ProcessReader(members, self.proc),
            filesystem=self.filesystem,
            starts=StartReader(self.history),
            oomd=OomdReader(self.tree),
            numa=NumaReader(self.tree, self._lists),
            states=StateReader(members, self.proc),
            procfs_fuse=ProcfsFuseReader(state_dir(self.settings.fs_root), self.proc),
            schedstat=SchedstatReader(members, self.proc),
            oom=OomReader(self.oom, selector(self.settings.cgroups)),
            resolver=self.resolver,
            engine_labels=self.settings.container_labels,
            proc_root=self.settings.proc_root,
            fs_root=self.settings.fs_root,
        )


def _container_id(path: str) -> str | None:
    found = match(path)
    return found.id if found is not None else None


def raise_descriptor_limit() -> None:
    """Raise the hard limit of open files to what many containers take, if this process may: with CAP_SYS_RESOURCE."""
    wanted = _MOST_DESCRIPTORS + _RESERVED + MOST_REGISTERED
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))


class _Budget(NamedTuple):
    """How this process divides up the descriptors that it may have."""

    files: int  # control files
    watches: int  # cgroups of v1 whose OOM kills are notified

    @classmethod
    def now(cls) -> Self:
        """Keep more control files than other tools do, as far as this process may."""
        raise_descriptor_limit()
        default_budget()  # raises the soft limit
        allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if allowed == resource.RLIM_INFINITY:
            return cls(_MOST_DESCRIPTORS, MOST_REGISTERED)
        watches = min(MOST_REGISTERED, allowed // 10)
        return cls(max(0, min(_MOST_DESCRIPTORS, allowed - _RESERVED - watches)), watches)
