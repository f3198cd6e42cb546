"""Where the files of a cgroup are, hierarchy by hierarchy; and the cgroup itself.

On v1 every controller may have a hierarchy of its own and a process may sit at another path in each of them, so a
`Cgroup` carries a path per controller. On v2 they are all the same.

Sources: cgroups(7), cgroup_namespaces(7); ``/proc/PID/cgroup`` in proc(5).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from cgroup_model.mounts import CANONICAL_NAMES, Hierarchy, Mounts, OutOfSight
from cgroup_model.parse import CgroupLine

_CONTROLLERS: Final = ("", "cpu", "cpuacct", "cpuset", "freezer", "hugetlb", "io", "memory", "pids")
"""What is read here; ``""`` is the v2 core. Where a cgroup is for devices or net_cls says nothing to us."""

_ROOT_INODE: Final = 1  # of the real root of any hierarchy: kernfs numbers from 1 (fs/kernfs/dir.c)


@dataclass(frozen=True, slots=True)
class Cgroup:
    """One cgroup. Equal paths with different inodes are different cgroups: removed and made again."""

    path: str  # in the primary hierarchy, as ``/proc/PID/cgroup`` writes it
    inode: int  # of its directory in the primary hierarchy
    paths: Mapping[str, str] = field(hash=False)  # controller -> path in that controller's hierarchy

    def has_own(self, controller: str) -> bool:
        """Tell whether this controller counts this cgroup by itself, and not only as a part of an ancestor."""
        path = self.paths.get(controller)
        return path is not None and not _is_above(path, self.path)


@dataclass(frozen=True, slots=True)
class Level:
    """A cgroup or an ancestor of it in the hierarchy of one controller."""

    path: str
    key: tuple[str, str]  # the controller and its directory

    @property
    def directories(self) -> Mapping[str, str]:
        """The same as dialects want it."""
        return dict((self.key,))


@dataclass(frozen=True, slots=True)
class Served:
    """A hierarchy and the controllers that it answers for."""

    hierarchy: Hierarchy
    controllers: tuple[str, ...]
    shows_root: bool  # the mount point is the real root of the hierarchy, no ancestor is out of sight


class Lineages(dict[str, tuple[Level, ...]]):
    """Controller -> the cgroup and its ancestors, innermost first; none for a controller that does not know it.

    Worked out when asked for: most readers want few of nine. The real root is no level: nothing can be limited there,
    and hardly anything read.
    """

    __slots__ = ("_paths", "_served")

    def __init__(self, paths: Mapping[str, str], served: Iterable[Served]) -> None:
        super().__init__()
        self._paths, self._served = paths, served

    def __missing__(self, controller: str) -> tuple[Level, ...]:
        levels: tuple[Level, ...] = ()
        for served in self._served:
            if controller in served.controllers and controller in self._paths:
                levels = _lineage(controller, served, self._paths[controller])
        self[controller] = levels
        return levels


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Where a cgroup's files are; worked out once per cgroup, so that a hot snapshot does no path work.

    Equal to itself only, and cheap to look something up by.
    """

    home: str  # directory in the primary hierarchy, whose inode is the cgroup's identity
    directories: Mapping[str, str]  # controller -> directory, of controllers that count this cgroup by itself
    levels: Lineages
    whole: frozenset[str]  # controllers of which all ancestors are in sight; their levels end below the root


def served_by(mounts: Mounts) -> tuple[Served, ...]:
    """Group the controllers by the hierarchy that answers for them."""
    groups: dict[Hierarchy, list[str]] = {}
    for name in _CONTROLLERS:
        hierarchy = mounts.for_controller(name)
        if hierarchy is not None:
            groups.setdefault(hierarchy, []).append(name)
    return tuple(Served(hierarchy, tuple(names), _shows_root(hierarchy)) for hierarchy, names in groups.items())


def lay_out(cgroup: Cgroup, primary: Hierarchy, hierarchies: Iterable[Served]) -> Layout:
    """Work out where a cgroup's files are; no I/O."""
    directories: dict[str, str] = {}
    whole: set[str] = set()
    for served in hierarchies:
        for controller in served.controllers:
            if controller not in cgroup.paths:
                continue
            if cgroup.has_own(controller):
                directories[controller] = served.hierarchy.directory(cgroup.paths[controller])
            if served.shows_root:
                whole.add(controller)
    levels = Lineages(cgroup.paths, hierarchies)
    return Layout(primary.directory(cgroup.path), directories, levels, _shared(frozenset(whole)))


@lru_cache(maxsize=64)
def _shared(names: frozenset[str]) -> frozenset[str]:
    """Return the same object for the same names: a thousand cgroups have the same."""
    return names


def _lineage(controller: str, served: Served, path: str) -> tuple[Level, ...]:
    above = upwards(served.hierarchy, path)
    if served.shows_root:
        above.pop()
    # Of the cgroup itself there is one anyway.
    return tuple(
        (_shared_level if position else _level)(controller, path, directory)
        for position, (path, directory) in enumerate(above)
    )


def _level(controller: str, path: str, directory: str) -> Level:
    return Level(path, (controller, directory))


_shared_level = lru_cache(maxsize=4096)(_level)  # of ancestors: a thousand siblings would each hold their own


def path_in(hierarchy: Hierarchy, lines: Iterable[CgroupLine]) -> str | None:
    """Return the path that ``/proc/PID/cgroup`` gives for this hierarchy."""
    for line in lines:
        names = {CANONICAL_NAMES.get(name, name) for name in line.controllers}
        if hierarchy.version != line.version:
            continue
        if hierarchy.version == 2 or names & hierarchy.controllers or f"name={hierarchy.name}" in names:
            return line.path
    return None


def nearest(hierarchy: Hierarchy, path: str) -> str | None:
    """Return the path itself or its nearest ancestor that exists in this hierarchy; None when none is in sight."""
    try:
        if os.path.isdir(hierarchy.directory(path)):
            return path
        lineage = upwards(hierarchy, path)
    except OutOfSight:
        return None
    return next((above for above, directory in lineage if os.path.isdir(directory)), None)


def upwards(hierarchy: Hierarchy, path: str) -> list[tuple[str, str]]:
    """List (path, directory) of a cgroup and its ancestors up to the mount point, above which nothing is visible."""
    top = hierarchy.mountpoint.rstrip("/")
    directory = hierarchy.directory(path)
    found = [(hierarchy.path(directory), directory)]
    while len(directory) > len(top):
        directory = directory[: directory.rindex("/")]
        found.append((_path_of_ancestor(hierarchy, directory), directory))
    return found


@lru_cache(maxsize=4096)
def _path_of_ancestor(hierarchy: Hierarchy, directory: str) -> str:
    """Siblings have the same ancestors: worked out once for all of them, and one text for all."""
    return hierarchy.path(directory)


def _shows_root(hierarchy: Hierarchy) -> bool:
    try:
        return os.stat(hierarchy.mountpoint).st_ino == _ROOT_INODE
    except OSError:
        return False


def _is_above(path: str, other: str) -> bool:
    """Tell whether ``path`` is a proper ancestor of ``other``."""
    return path != other and other.startswith(path.rstrip("/") + "/")
