"""One number of each of thousands of cgroups: enough to sort by, at the price of one read each.

A whole `Snapshot` reads a dozen files; of those only the rows on a screen need one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Final

from cgroup_model.dialects import Dirs, dialect_for
from cgroup_model.hierarchy import Tree
from cgroup_model.mounts import Hierarchy, OutOfSight
from cgroup_model.parse import ParseError
from cgroup_model.record import dataclass
from cgroup_model.source import CgroupGone, Missing, Source

Reader = Callable[[Source, Dirs], int]

_SERVED_BY: Final = {"cpu": ("cpuacct", ""), "memory": ("memory",), "pids": ("pids",)}
_MOST_PLACES: Final = 16_384
_NOWHERE_SECONDS: Final = 5.0  # a directory that is not there yet may be a moment later


@dataclass(frozen=True, slots=True)
class _Part:
    """One number: who reads it, and the hierarchy that it is in."""

    controller: str
    hierarchy: Hierarchy
    read: Reader
    places: dict[str, str] = field(default_factory=dict)  # path -> directory
    nowhere: dict[str, float] = field(default_factory=dict)  # path without a directory -> until when to believe it

    def directory(self, path: str) -> str:
        """Where the cgroup's file would be; worked out once."""
        place = self.places.get(path)
        if place is None:
            if len(self.places) >= _MOST_PLACES:
                self.places.clear()
            place = self.places[path] = self.hierarchy.directory(path)
        return place

    def note_absent(self, path: str, until: float) -> None:
        """Remember that this hierarchy counts the cgroup as a part of an ancestor only, if it is there at all."""
        if len(self.nowhere) >= _MOST_PLACES:
            self.nowhere.clear()
        self.nowhere[path] = until


class Survey:
    """Reads single numbers. What is not there, not allowed, malformed or gone is None; nothing is logged or counted."""

    def __init__(self, tree: Tree, source: Source, clock: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._clock = clock
        self._parts: dict[str, _Part] = {}
        self._cpu: dict[str, tuple[int, int | None]] = {}  # path -> inode and CPU time at the last look
        for name, controllers in _SERVED_BY.items():
            for controller in controllers:
                hierarchy = tree.mounts.for_controller(controller)
                if hierarchy is not None:
                    self._parts[name] = _Part(controller, hierarchy, _reader(name, hierarchy))
                    break

    @property
    def missing(self) -> tuple[str, ...]:
        """Parts that no hierarchy of this machine serves."""
        return tuple(part for part in _SERVED_BY if part not in self._parts)

    def cpu_usec(self, path: str) -> int | None:
        """CPU time used by the subtree since the cgroup was made; microseconds."""
        return self._read("cpu", path)

    def cpu_usecs(self, inodes: Mapping[str, int]) -> Mapping[str, tuple[int, int | None]]:
        """Map path -> inode and CPU time (as `cpu_usec`) of many cgroups by path, ancestors first.

        What is used below is counted above: where an ancestor's time is what it was, so is that of all below it, and
        their files are not read.
        """
        before, now = self._cpu, {}
        still = set()
        for path, inode in inodes.items():
            known = before.get(path)
            is_same = known is not None and known[0] == inode
            if known is not None and is_same and (path.rpartition("/")[0] or "/") in still:
                still.add(path)
                now[path] = known
                continue
            found = (inode, self._read("cpu", path))
            if known is not None and found == known and found[1] is not None:
                still.add(path)
                found = known  # the very same: whoever keeps it sees at a glance that nothing happened
            now[path] = found
        self._cpu = now
        return now

    def memory_bytes(self, path: str) -> int | None:
        """Memory charged to the subtree; bytes."""
        return self._read("memory", path)

    def pids(self, path: str) -> int | None:
        """Tasks in the subtree."""
        return self._read("pids", path)

    def _read(self, name: str, path: str) -> int | None:
        part = self._parts.get(name)
        if part is None or (path in part.nowhere and self._clock() < part.nowhere[path]):
            return None
        try:
            return part.read(self._source, {part.controller: part.directory(path)})
        except CgroupGone:
            part.note_absent(path, self._clock() + _NOWHERE_SECONDS)
            return None
        except (Missing, OutOfSight, ParseError, OSError):
            return None


def _reader(name: str, hierarchy: Hierarchy) -> Reader:
    dialect = dialect_for(hierarchy)
    readers: dict[str, Reader] = {
        "cpu": dialect.read_cpu_usage,
        "memory": dialect.read_memory_current,
        "pids": dialect.read_pids_current,
    }
    return readers[name]
