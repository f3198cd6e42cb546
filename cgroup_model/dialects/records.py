"""What dialects take and give beside the records of `cgroup_model.snapshot`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cgroup_model.record import dataclass
from cgroup_model.snapshot import UNLIMITED, Limit

Dirs = Mapping[str, str]
"""Canonical controller name to the directory of one cgroup in the hierarchy that serves it."""

IoSources = tuple[tuple[str, str], ...]
"""Pairs of files that count bytes and operations, in the order in which they are believed; v1 has several."""


@dataclass(frozen=True, slots=True)
class MemoryLevel:
    """What one level of the hierarchy allows and uses; bytes. The cheap read for ancestors."""

    max: Limit = None
    high: Limit = None
    current: int | None = None
    active_file: int | None = None  # this and the next two only where memory.stat is read
    inactive_file: int | None = None
    slab_reclaimable: int | None = None
    swap_max: Limit = None  # swap alone
    swap_current: int | None = None
    hierarchical_max: Limit = None  # v1 only, from memory.stat: minimum over ancestors, also those out of sight


@dataclass(frozen=True, slots=True)
class Quota:
    """CFS bandwidth of one level; microseconds."""

    quota_usec: Limit = None
    period_usec: int | None = None  # may be left out where there is no quota


NO_QUOTA: Final = Quota(UNLIMITED)
"""What nearly every level says; made once, since it is read for every file that shows CPUs."""


@dataclass(frozen=True, slots=True)
class OomKills:
    """Victims of the OOM killer since a cgroup was made; None where the dialect or the kernel does not count them."""

    own: int | None  # in the cgroup itself
    subtree: int | None  # with all below it, also in cgroups that are gone
