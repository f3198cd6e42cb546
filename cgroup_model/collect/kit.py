"""What every look works with, worked out once: which dialect tells which part on this machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, Self

from cgroup_model.collect.problems import Problems
from cgroup_model.dialects import Dialect, Dirs, dialect_for
from cgroup_model.mounts import Hierarchy, Mounts
from cgroup_model.record import dataclass
from cgroup_model.snapshot import Cpuset, Policy
from cgroup_model.source import Source

_SERVED_BY: Final = {
    "memory": ("memory",),
    "cpu": ("cpu", "cpuacct", ""),
    "cpuset": ("cpuset",),
    "io": ("io",),
    "pids": ("pids",),
    "hugetlb": ("hugetlb",),
    "pressure": ("",),
    "core": ("",),
    "freezer": ("freezer",),
}
"""Part -> controllers that tell it, the first that is mounted; ``""`` is the v2 core."""


@dataclass(frozen=True, slots=True)
class Kit:
    """What every look works with."""

    source: Source
    dialects: Mapping[str, Dialect]  # of each part
    served: frozenset[str]  # parts for which a hierarchy is mounted at all; others are no problem, only unknown
    policy: Policy
    problems: Problems
    io_top: str | None  # the topmost directory of the io controller
    read_cpus: Callable[[Source, Dirs], Cpuset]  # of one level
    tells_unseen: bool  # v1 alone knows the limit of ancestors that no mount shows, and only in a costly file

    @classmethod
    def of(cls, mounts: Mounts, source: Source, policy: Policy, problems: Problems) -> Self:
        """Choose dialects; of what is not mounted any will do, since it is never read."""
        served = {part: found for part in _SERVED_BY if (found := _hierarchy_of(part, mounts)) is not None}
        dialects = {part: dialect_for(served.get(part, mounts.primary)) for part in _SERVED_BY}
        tells_unseen = "memory" in served and served["memory"].version == 1
        read_cpus = partial(dialects["cpuset"].read_cpuset, detail=False)
        io_top = served["io"].mountpoint if "io" in served else None
        return cls(source, dialects, frozenset(served), policy, problems, io_top, read_cpus, tells_unseen)


def _hierarchy_of(part: str, mounts: Mounts) -> Hierarchy | None:
    found = (mounts.for_controller(name) for name in _SERVED_BY[part])
    return next((hierarchy for hierarchy in found if hierarchy is not None), None)
