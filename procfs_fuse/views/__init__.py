"""The virtual files: one module each, found by discovery.

A view module turns one `Snapshot` into the bytes of one file and does nothing else: no input or output, no clock, no
state. It has these names:

``PATH``       below a container's directory, relative: ``proc/meminfo``;
``NEEDS``      the parts of a snapshot that it reads;
``render``     ``(snapshot) -> bytes``; never raises, whatever is unknown;
``MODE``       permissions, 0444 if left out;
``OPTIONAL``   those of its needs whose absence is normal and documented, not a fallback; none if left out;
``exists``     ``(snapshot) -> bool``; always if left out. Where it says no, the file is not listed, not bound over the
               machine's, and opening it fails with EOPNOTSUPP: the machine's own never stands in for such a file;
``SECRET``     True if the machine's file is nobody's business: it is bound over even by one that does not exist;
``TRIGGERS``   resource whose stalls can be waited for by writing to the file and polling it; none if left out;
``CACHEABLE``  True if the length depends on the machine alone, never on the container; False if left out;
``same_until`` ``(snapshot) -> `` moment (CLOCK_BOOTTIME, seconds) before which another look would not tell anything
               newer, as its numbers are too coarse; none if left out.

A module of a folder whose files depend on the container (one for each of its CPUs) has instead

``PATH``       of the folder;
``NEEDS``      what its list of files depends on;
``key``        ``(snapshot) -> `` what the list depends on, hashable;
``leaves``     ``(key) -> `` a `View` for each file.

Where a part is unknown a view shows the machine's value; where that is unknown too it has nothing to say, and the
file is empty. `View.missing` tells which parts were unknown, so that nobody falls back silently.

To add a file: write its module, run ``make golden``, read the difference, add its lines to docs/files.md.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from types import ModuleType
from typing import Any

from cgroup_model.snapshot import Need, Snapshot

_PARTS: Mapping[Need, tuple[str, ...]] = {
    Need.MEMORY: ("memory", "memory_bounds"),
    Need.MEMORY_DETAIL: (),  # fields of ``memory``
    Need.CPU: ("cpu",),
    Need.CPUS: ("cpus",),
    Need.CPU_TIMES: ("cpu_times",),
    Need.CPUSET: ("cpuset",),
    Need.IO: ("io",),
    Need.PIDS: ("pids",),
    Need.PRESSURE: ("pressure",),
    Need.HUGETLB: ("hugetlb",),
    Need.CORE: ("core",),
    Need.AGE: ("age_seconds",),
    Need.TASKS: ("tasks",),
    Need.LOAD: ("load",),
    Need.HOST_MEMINFO: ("host.meminfo",),
    Need.HOST_STAT: ("host.stat",),
    Need.HOST_CPUINFO: ("host.cpuinfo",),
    Need.HOST_SWAPS: ("host.swaps",),
    Need.HOST_DISKSTATS: ("host.diskstats",),
    Need.HOST_VMSTAT: ("host.vmstat",),
    Need.HOST_PARTITIONS: ("host.partitions",),
    Need.SLABINFO: ("slabinfo",),
    Need.HOST_CPU_FILES: ("host.cpu_files",),
    Need.HOST_NODE_FILES: ("host.node_files",),
    Need.HOST_LIMITS: ("host.pid_max", "host.threads_max"),
}


@dataclass(frozen=True, slots=True)
class View:
    """One virtual file, as its module describes it; the names are the module's."""

    PATH: str
    NEEDS: Need
    render: Callable[[Snapshot], bytes]
    MODE: int = 0o444
    OPTIONAL: Need = Need.NOTHING
    CACHEABLE: bool = False
    exists: Callable[[Snapshot], bool] | None = None
    SECRET: bool = False
    TRIGGERS: str = ""
    same_until: Callable[[Snapshot], float] | None = None

    def missing(self, snapshot: Snapshot) -> tuple[str, ...]:
        """Return the needed parts that are unknown, that is, why some lines show the machine's values."""
        required = _required(self.NEEDS._value_, self.OPTIONAL._value_)
        return tuple([part for part, get in required if get(snapshot) is None])


@dataclass(frozen=True, slots=True)
class Tree:
    """A folder whose files depend on the container, as its module describes it; the names are the module's."""

    PATH: str
    NEEDS: Need
    key: Callable[[Snapshot], Hashable]
    leaves: Callable[[Any], Iterable[View]]


@lru_cache(maxsize=64)
def _required(needs: int, optional: int) -> tuple[tuple[str, Callable[[Snapshot], object]], ...]:
    """Name the parts that must be known, and how to look at them; numbers, since flags are slow to hash."""
    required = Need(needs) & ~Need(optional)
    return tuple((part, attrgetter(part)) for need in required for part in _PARTS[need])


def view_of(module: ModuleType) -> View:
    """Read a view module's names. Raises TypeError if one is missing."""
    return View(**_names(View.__dataclass_fields__, module))


def tree_of(module: ModuleType) -> Tree:
    """Read the names of a folder's module. Raises TypeError if one is missing."""
    return Tree(**_names(Tree.__dataclass_fields__, module))


def _names(wanted: Iterable[str], module: ModuleType) -> dict[str, Any]:
    return {name: vars(module)[name] for name in wanted if name in vars(module)}


def by_path(views: Iterable[View]) -> Mapping[str, View]:
    """Index views. Raises ValueError if two claim one path, or one is not relative and plain."""
    found: dict[str, View] = {}
    for view in views:
        if "" in (parts := view.PATH.split("/")) or ".." in parts or "." in parts:
            raise ValueError(f"not a plain relative path: {view.PATH!r}")
        if found.setdefault(view.PATH, view) is not view:
            raise ValueError(f"two views of {view.PATH}")
    return found


def _discover() -> list[ModuleType]:
    names = sorted(info.name for info in pkgutil.iter_modules(__path__) if not info.name.startswith("_"))
    return [importlib.import_module(f"{__name__}.{name}") for name in names]


_MODULES = _discover()

VIEWS: Mapping[str, View] = by_path(view_of(module) for module in _MODULES if not hasattr(module, "leaves"))
"""Every virtual file that all containers have, by its path."""

TREES: Mapping[str, Tree] = {module.PATH: tree_of(module) for module in _MODULES if hasattr(module, "leaves")}
"""Every folder whose files depend on the container, by its path."""
