"""What is shown at one moment: the machine and an entry for each cgroup. Made live or from a recording; plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Protocol

from cgroup_model.engines import Identity, Kind
from cgroup_model.machine import Machine
from cgroup_model.rates import Moment, Rates
from cgroup_model.record import dataclass
from cgroup_model.snapshot import Need, Snapshot


@dataclass(frozen=True, slots=True)
class Brief:
    """What the survey of all cgroups read; a part that was not asked for is None."""

    cpu_cores: float | None = None
    memory_bytes: int | None = None
    pids: int | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One cgroup at one moment. ``moment`` is None while only the survey looked at it."""

    path: str
    inode: int
    identity: Identity
    brief: Brief = Brief()
    moment: Moment | None = None
    rates: Rates | None = None
    cpus: int = 1  # of the machine
    memory_total: int | None = None  # of the machine; bytes
    is_new: bool = False  # came since the last look, or was removed and made again

    @property
    def snapshot(self) -> Snapshot | None:
        """All that was read."""
        return None if self.moment is None else self.moment.snapshot

    @property
    def is_container(self) -> bool:
        """True for what an engine runs, pods included."""
        return self.identity.kind in {Kind.CONTAINER, Kind.POD}


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything at one moment."""

    taken_at: float  # seconds since the epoch
    machine: Machine
    world: str  # v1, hybrid, v2
    entries: Mapping[str, Entry]  # by path
    cpu_ratio: float | None = None  # of the machine, since the last look
    missing: tuple[str, ...] = ()  # controllers that this machine does not serve
    hostname: str = ""
    notes: tuple[str, ...] = field(default=())  # what could not be read, for the head


class Scenes(Protocol):
    """Where scenes come from: this machine now, or a recording."""

    @property
    def is_over(self) -> bool:
        """True when there is nothing more to come."""

    def survey(self, parts: frozenset[str], needs: Need) -> Scene:
        """Look at every cgroup: ``cpu``, ``memory``, ``pids`` (one number each), ``names``; and ``needs`` of all."""

    def look(self, scene: Scene, paths: list[str], needs: Need, *, network: bool = False) -> Scene:
        """Read more of a few cgroups; gives the scene with them filled in."""

    def close(self) -> None:
        """Give back what is held."""
