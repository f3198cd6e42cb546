"""Memory nodes: how many pages of a cgroup are on which."""

from __future__ import annotations

import logging

from cgroup_model.dialects import dialect_for
from cgroup_model.hierarchy import Cgroup, Tree
from cgroup_model.parse import ParseError
from cgroup_model.snapshot import NumaPages
from cgroup_model.source import CgroupGone, Missing, Source

log = logging.getLogger(__name__)


class NumaReader:
    """Reads the file of the memory controller that tells."""

    def __init__(self, tree: Tree, source: Source) -> None:
        self._tree = tree
        self._source = source
        hierarchy = tree.mounts.for_controller("memory")
        self._dialect = dialect_for(hierarchy) if hierarchy is not None else None

    def read(self, cgroup: Cgroup) -> tuple[NumaPages, ...]:
        """Read a record per type, scope and node; none where the kernel does not say or says nonsense."""
        if self._dialect is None:
            return ()
        try:
            return self._dialect.read_numa(self._source, self._tree.layout(cgroup).directories)
        except (Missing, CgroupGone, ParseError, OSError) as error:
            log.debug("memory nodes of %r are unknown: %s", cgroup.path, error)
            return ()
