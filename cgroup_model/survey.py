"""One number of each of thousands of cgroups: enough to sort by, at the price of one read each.

A whole `Snapshot` reads a dozen files; of those only the rows on a screen need one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cgroup_model.dialects import Dirs, dialect_for
from cgroup_model.hierarchy import Cgroup, Tree
from cgroup_model.parse import ParseError
from cgroup_model.source import CgroupGone, Missing, Source

Reader = Callable[[Source, Dirs], int]

_SERVED_BY: Final = {"cpu": ("cpuacct", ""), "memory": ("memory",), "pids": ("pids",)}


class Survey:
    """Reads single numbers. What is not there, not allowed, malformed or gone is None; nothing is logged or counted."""

    def __init__(self, tree: Tree, source: Source) -> None:
        self._tree = tree
        self._source = source
        self._readers: dict[str, Reader] = {}
        for part, controllers in _SERVED_BY.items():
            served = (tree.mounts.for_controller(name) for name in controllers)
            hierarchy = next((one for one in served if one is not None), None)
            if hierarchy is not None:
                dialect = dialect_for(hierarchy)
                self._readers[part] = {
                    "cpu": dialect.read_cpu_usage,
                    "memory": dialect.read_memory_current,
                    "pids": dialect.read_pids_current,
                }[part]

    @property
    def missing(self) -> tuple[str, ...]:
        """Parts that no hierarchy of this machine serves."""
        return tuple(part for part in _SERVED_BY if part not in self._readers)

    def cpu_usec(self, cgroup: Cgroup) -> int | None:
        """CPU time used by the subtree since the cgroup was made; microseconds."""
        return self._read("cpu", cgroup)

    def memory_bytes(self, cgroup: Cgroup) -> int | None:
        """Memory charged to the subtree; bytes."""
        return self._read("memory", cgroup)

    def pids(self, cgroup: Cgroup) -> int | None:
        """Tasks in the subtree."""
        return self._read("pids", cgroup)

    def _read(self, part: str, cgroup: Cgroup) -> int | None:
        reader = self._readers.get(part)
        if reader is None:
            return None
        try:
            return reader(self._source, self._tree.layout(cgroup).directories)
        except (Missing, CgroupGone, ParseError, OSError):
            return None
