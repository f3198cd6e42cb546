"""cgroup.* and pressure files of cgroup v2. Documentation/admin-guide/cgroup-v2.rst, "Core Interface Files".

``cgroup.events`` ``populated 1`` and ``frozen 0`` (not on the root); ``cgroup.stat`` ``nr_descendants 3``;
``memory.pressure`` ``some avg10=0.00 avg60=0.00 avg300=0.00 total=0`` (Documentation/accounting/psi.rst).
"""

from __future__ import annotations

import errno
from dataclasses import replace

from cgroup_model.dialects.optional import directory_of, needed, optional, parsed
from cgroup_model.dialects.records import Dirs
from cgroup_model.parse import boolean, flat_keyed, line, number_of, pids, pressure, words
from cgroup_model.snapshot import Core, Pressure, PressureResource
from cgroup_model.source import Source

PRESSURE_OFF = (errno.EOPNOTSUPP, errno.ENODATA)


_CORE = ("cgroup.stat", "cgroup.events")
_TYPE = "cgroup.type"
_PRESSURE = ("cpu.pressure", "memory.pressure", "io.pressure", "irq.pressure")


def read_core(source: Source, dirs: Dirs, *, with_type: bool = True) -> Core:
    """Read the state of the cgroup; ``frozen`` only when every task has come to rest."""
    directory = directory_of(dirs, "")
    core = source.record(directory, _CORE, _core)
    return replace(core, type=optional(source, directory, _TYPE, line)) if with_type else core


def _core(stat: bytes | None, events: bytes | None) -> Core:
    counts = flat_keyed(needed(stat, _CORE[0]))
    flags = parsed(events, flat_keyed) or {}
    return Core(
        populated=_flag(flags, b"populated"),
        frozen=_flag(flags, b"frozen"),
        nr_descendants=number_of(counts, b"nr_descendants"),
        nr_dying_descendants=number_of(counts, b"nr_dying_descendants"),
    )


def read_pressure(source: Source, dirs: Dirs) -> Pressure:
    """Read pressure stall information; None for each resource that this kernel does not account."""
    directory = directory_of(dirs, "")
    try:
        return source.record(directory, _PRESSURE, _pressures)
    except OSError as error:
        if error.errno not in PRESSURE_OFF:
            raise
    return Pressure(*(_pressure(source, directory, name) for name in _PRESSURE))


def _pressures(*read: bytes | None) -> Pressure:
    return Pressure(*(parsed(data, pressure) for data in read))


def open_pressure(source: Source, dirs: Dirs, resource: str) -> int:
    """Open a pressure file for a trigger; the descriptor is the caller's."""
    return source.open(directory_of(dirs, ""), f"{resource}.pressure")


def read_procs(source: Source, directory: str) -> list[int]:
    """List the processes of this cgroup.

    Threaded cgroups do not answer: their processes are listed by their threaded domain.
    """
    return _members(source, directory, "cgroup.procs")


def read_threads(source: Source, directory: str) -> list[int]:
    """List the threads of this cgroup; none in one that is "domain invalid"."""
    return _members(source, directory, "cgroup.threads")


def read_controllers(source: Source, directory: str) -> frozenset[str]:
    """Read which controllers this cgroup may hand on to its children."""
    return frozenset(words(source.read(directory, "cgroup.controllers")))


def read_subtree_control(source: Source, directory: str) -> frozenset[str]:
    """Read which controllers this cgroup does hand on to its children."""
    return frozenset(words(source.read(directory, "cgroup.subtree_control")))


def write_freeze(source: Source, dirs: Dirs, *, frozen: bool) -> None:
    """Begin to freeze or thaw the subtree (Linux 5.2)."""
    source.write(directory_of(dirs, ""), "cgroup.freeze", b"1" if frozen else b"0")


def write_kill(source: Source, dirs: Dirs) -> None:
    """Send SIGKILL to everything in the subtree, also to what it forks meanwhile (Linux 5.14)."""
    source.write(directory_of(dirs, ""), "cgroup.kill", b"1")


def write_procs(source: Source, directory: str, pid: int) -> None:
    """Move a process, with all its threads, into this cgroup."""
    source.write(directory, "cgroup.procs", b"%d" % pid)


def write_subtree_control(source: Source, directory: str, controllers: frozenset[str]) -> None:
    """Enable controllers for the children; those already enabled stay so."""
    source.write(directory, "cgroup.subtree_control", " ".join(f"+{name}" for name in sorted(controllers)).encode())


def _flag(pairs: dict[bytes, bytes], key: bytes) -> bool | None:
    value = pairs.get(key)
    return None if value is None else boolean(value)


def _members(source: Source, directory: str, name: str) -> list[int]:
    try:
        return pids(source.read(directory, name))
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        return []


def _pressure(source: Source, directory: str, name: str) -> PressureResource | None:
    """Read one file; it is there but refuses when PSI was switched off (``psi=0``, cgroup.pressure)."""
    try:
        return optional(source, directory, name, pressure)
    except OSError as error:
        if error.errno not in PRESSURE_OFF:
            raise
        return None
