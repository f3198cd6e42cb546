"""Every cgroup of the machine, container or not, kept fresh by notifications."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final

from cgroup_model.discovery import Discovery
from cgroup_model.hierarchy import Cgroup, Tree
from cgroup_model.mounts import OutOfSight
from cgroup_model.source import CgroupGone

_LOOK_AGAIN_SECONDS: Final = 60.0  # with notifications: against lost ones, and for parts that came later
_BLIND_SECONDS: Final = 2.0  # without notifications


class Inventory:
    """The cgroups of the primary hierarchy. Not for use by several threads at once."""

    def __init__(self, tree: Tree, clock: Callable[[], float] = time.monotonic) -> None:
        self._tree = tree
        self._clock = clock
        self._known: dict[str, Cgroup] = {}
        self._discovery = Discovery(tree.mounts.primary, lambda path: path, self._removed)
        self._looked_at: float | None = None

    def cgroups(self) -> Mapping[str, Cgroup]:
        """Map path -> cgroup, as of now. The mapping is the same object each time, and changes."""
        now = self._clock()
        patience = _LOOK_AGAIN_SECONDS if self._discovery.is_live else _BLIND_SECONDS
        if self._looked_at is None or now - self._looked_at >= patience:
            self._looked_at = now
            self._discovery.refresh()
            self._known.clear()
        elif not self._discovery.process_events():
            return self._known
        self._take_over()
        return self._known

    def close(self) -> None:
        """Stop watching."""
        self._discovery.close()

    def _removed(self, path: str) -> None:
        self._tree.forget(path)
        self._known.pop(path, None)

    def _take_over(self) -> None:
        for path in sorted(self._discovery.containers - self._known.keys()):
            try:
                self._known[path] = self._tree.cgroup(path)
            except (CgroupGone, OutOfSight):
                continue
