"""The processes of a cgroup."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from cgroup_model.dialects import dialect_for
from cgroup_model.discovery import walk_directories
from cgroup_model.hierarchy import Cgroup, Tree
from cgroup_model.source import CgroupGone, Missing, Source


class Members:
    """Lists processes as the primary hierarchy has them."""

    def __init__(self, tree: Tree, source: Source) -> None:
        self._tree = tree
        self._source = source
        self._dialect = dialect_for(tree.mounts.primary)

    def of(self, cgroup: Cgroup) -> list[int]:
        """List the processes of the cgroup itself."""
        return self._in_directory(self._tree.layout(cgroup).home)

    def below(self, cgroup: Cgroup) -> Iterator[int]:
        """Yield the processes of the cgroup and of all below it."""
        for child in walk_directories(self._tree.layout(cgroup).home):
            yield from self._in_directory(child.directory)

    def threads_below(self, cgroup: Cgroup) -> Iterator[int]:
        """Yield the threads of the cgroup and of all below it."""
        for child in walk_directories(self._tree.layout(cgroup).home):
            yield from self._listed(self._dialect.read_threads, child.directory)

    def any_of(self, cgroup: Cgroup) -> int | None:
        """Find some process, the cgroup's own first; None when there is none."""
        return next(self.below(cgroup), None)

    def _in_directory(self, directory: str) -> list[int]:
        return self._listed(self._dialect.read_procs, directory)

    def _listed(self, read: Callable[[Source, str], list[int]], directory: str) -> list[int]:
        try:
            found = read(self._source, directory)
        except (Missing, CgroupGone, OSError):  # gone meanwhile, or not ours to read: no processes that we can see
            return []
        return [pid for pid in found if pid]  # 0: of another pid namespace
