"""cpuset.* of cgroup v2. Documentation/admin-guide/cgroup-v2.rst, "Cpuset".

``cpuset.cpus`` ``0-1`` is what was asked for, empty when inherited; ``cpuset.cpus.effective`` is what tasks may use.
"""

from __future__ import annotations

from cgroup_model.dialects.optional import directory_of, needed, optional
from cgroup_model.dialects.records import Dirs
from cgroup_model.parse import id_list, line
from cgroup_model.snapshot import Cpuset
from cgroup_model.source import Source

_IN_EFFECT = ("cpuset.cpus.effective",)


def _cpus(data: bytes | None) -> Cpuset:
    return Cpuset(cpus_effective=id_list(needed(data, _IN_EFFECT[0])))


def read_cpuset(source: Source, dirs: Dirs, *, detail: bool = True) -> Cpuset:
    """Read CPUs and memory nodes, as configured (not on the root cgroup) and as they are in effect."""
    directory = directory_of(dirs, "cpuset")
    in_effect = source.record(directory, _IN_EFFECT, _cpus)
    if not detail:
        return in_effect
    return Cpuset(
        cpus_effective=in_effect.cpus_effective,
        mems_effective=optional(source, directory, "cpuset.mems.effective", id_list),
        cpus=optional(source, directory, "cpuset.cpus", id_list),
        mems=optional(source, directory, "cpuset.mems", id_list),
        partition=optional(source, directory, "cpuset.cpus.partition", line),
    )


def write_cpuset(source: Source, dirs: Dirs, cpus: str | None, mems: str | None = None) -> None:
    """Confine to CPUs and memory nodes; None leaves them as they are."""
    directory = directory_of(dirs, "cpuset")
    if cpus is not None:
        source.write(directory, "cpuset.cpus", cpus.encode())
    if mems is not None:
        source.write(directory, "cpuset.mems", mems.encode())
