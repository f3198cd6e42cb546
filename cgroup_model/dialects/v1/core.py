"""Members and freezing on cgroup v1. Documentation/admin-guide/cgroup-v1/cgroups.rst and freezer-subsystem.rst.

``freezer.state`` is ``THAWED``, ``FREEZING`` or ``FROZEN`` (not on the root); ``tasks`` has a thread id per line.
"""

from __future__ import annotations

from cgroup_model.dialects.optional import directory_of, needed
from cgroup_model.dialects.records import Dirs
from cgroup_model.parse import ParseError, line, pids
from cgroup_model.snapshot import Core, Pressure
from cgroup_model.source import Missing, Source

_STATE = ("freezer.state",)
STATES = {"THAWED": False, "FREEZING": False, "FROZEN": True}


def read_core(source: Source, dirs: Dirs, *, with_type: bool = True) -> Core:  # noqa: ARG001
    """Read the freezer's state; ``frozen`` only when every task has come to rest. v1 says no more of Core."""
    return source.record(directory_of(dirs, "freezer"), _STATE, _core)


def _core(read: bytes | None) -> Core:
    data = needed(read, _STATE[0])
    state = line(data)
    if state not in STATES:
        raise ParseError("THAWED, FREEZING or FROZEN", data)
    return Core(frozen=STATES[state])


def read_pressure(source: Source, dirs: Dirs) -> Pressure:  # noqa: ARG001
    """Raise `Missing`: pressure is accounted in the v2 hierarchy only."""
    raise Missing("pressure")


def open_pressure(source: Source, dirs: Dirs, resource: str) -> int:  # noqa: ARG001
    """Raise `Missing`: v1 has no pressure files."""
    raise Missing(resource)


def read_procs(source: Source, directory: str) -> list[int]:
    """List the processes of this cgroup."""
    return pids(source.read(directory, "cgroup.procs"))


def read_threads(source: Source, directory: str) -> list[int]:
    """List the threads of this cgroup."""
    return pids(source.read(directory, "tasks"))


def read_controllers(source: Source, directory: str) -> frozenset[str]:  # noqa: ARG001
    """Return nothing: on v1 the mount decides which controllers serve all cgroups of a hierarchy."""
    return frozenset()


def read_subtree_control(source: Source, directory: str) -> frozenset[str]:  # noqa: ARG001
    """Return nothing, like `read_controllers`."""
    return frozenset()


def write_freeze(source: Source, dirs: Dirs, *, frozen: bool) -> None:
    """Begin to freeze or thaw the subtree."""
    source.write(directory_of(dirs, "freezer"), "freezer.state", b"FROZEN" if frozen else b"THAWED")


def write_kill(source: Source, dirs: Dirs) -> None:  # noqa: ARG001
    """Raise `Missing`: v1 has no such file, processes are signalled one by one."""
    raise Missing("kill")


def write_procs(source: Source, directory: str, pid: int) -> None:
    """Move a process, with all its threads, into this cgroup."""
    source.write(directory, "cgroup.procs", b"%d" % pid)


def write_subtree_control(source: Source, directory: str, controllers: frozenset[str]) -> None:
    """Do nothing: on v1 controllers serve all cgroups of their hierarchy."""
