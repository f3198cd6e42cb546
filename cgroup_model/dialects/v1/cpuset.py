"""cpuset.* of cgroup v1. Documentation/admin-guide/cgroup-v1/cpusets.rst.

``cpuset.cpus`` ``0-1`` is what was asked for, ``cpuset.effective_cpus`` what is online of it (since Linux 3.17). A new
cpuset is empty, and takes no tasks until both lists are set.
"""

from __future__ import annotations

from cgroup_model.dialects.optional import directory_of, optional
from cgroup_model.dialects.records import Dirs
from cgroup_model.parse import id_list
from cgroup_model.snapshot import Cpuset
from cgroup_model.source import Source

_IN_EFFECT = ("cpuset.effective_cpus",)


def _cpus(data: bytes | None) -> Cpuset | None:
    return None if data is None else Cpuset(cpus_effective=id_list(data))


def read_cpuset(source: Source, dirs: Dirs, *, detail: bool = True) -> Cpuset:
    """Read CPUs and memory nodes."""
    directory = directory_of(dirs, "cpuset")
    # What is in effect changes with a write to this cgroup or an ancestor, or when a CPU comes or goes.
    if not detail and (in_effect := source.settings(directory, _IN_EFFECT, _cpus)) is not None:
        return in_effect
    cpus = id_list(source.read(directory, "cpuset.cpus"))
    mems = id_list(source.read(directory, "cpuset.mems"))
    cpus_effective = optional(source, directory, "cpuset.effective_cpus", id_list)
    mems_effective = optional(source, directory, "cpuset.effective_mems", id_list)
    return Cpuset(
        cpus_effective=cpus if cpus_effective is None else cpus_effective,
        mems_effective=mems if mems_effective is None else mems_effective,
        cpus=cpus,
        mems=mems,
    )


def write_cpuset(source: Source, dirs: Dirs, cpus: str | None, mems: str | None = None) -> None:
    """Confine to CPUs and memory nodes; None leaves them as they are."""
    directory = directory_of(dirs, "cpuset")
    if cpus is not None:
        source.write(directory, "cpuset.cpus", cpus.encode())
    if mems is not None:
        source.write(directory, "cpuset.mems", mems.encode())
