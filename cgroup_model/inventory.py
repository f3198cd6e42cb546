"""Every cgroup of the machine, container or not, kept fresh by notifications."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final

from cgroup_model.discovery import Discovery, walk_directories
from cgroup_model.hierarchy import Tree

_LOOK_AGAIN_SECONDS: Final = 60.0  # with notifications: against lost ones, and for parts that came later
_BLIND_SECONDS: Final = 2.0  # without notifications


class Inventory:
    """The cgroups of the primary hierarchy. Not for use by several threads at once."""

    def __init__(self, tree: Tree, clock: Callable[[], float] = time.monotonic) -> None:
        self._tree = tree
        self._clock = clock
        self._primary = tree.mounts.primary
        self._discovery = Discovery(self._primary, lambda path: path, tree.forget)
        self._seen: Mapping[str, int] | None = None
        self._looked_at: float | None = None

    def cgroups(self) -> Mapping[str, int]:
        """Map path -> inode, as of now, ancestors first. Mostly the same object each time, which changes."""
        if self._seen is None:  # somebody waits for the first look, and watching takes as long as looking
            self._seen = self._listed()
            return self._seen
        now = self._clock()
        patience = _LOOK_AGAIN_SECONDS if self._discovery.is_live else _BLIND_SECONDS
        if self._looked_at is None or now - self._looked_at >= patience:
            self._looked_at = now
            self._discovery.refresh()
            for path in self._seen.keys() - self._discovery.inodes.keys():
                self._tree.forget(path)
        else:
            self._discovery.process_events()
        self._seen = self._discovery.inodes
        return self._seen

    def close(self) -> None:
        """Stop watching."""
        self._discovery.close()

    def _listed(self) -> dict[str, int]:
        found = walk_directories(self._primary.mountpoint)
        return {self._primary.path(child.directory): child.inode for child in found}
