"""The containers that both file systems show, and their slots."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Mapping
from typing import Protocol

from cgroup_model.layout import Cgroup
from cgroup_model.mounts import OutOfSight
from cgroup_model.source import CgroupGone
from procfs_fuse.identity import SlotTable


class Tree(Protocol):
    """Where containers come from (`cgroup_model.hierarchy.Tree`)."""

    def containers(self) -> Mapping[str, Cgroup]:
        """Key -> container, as of now."""
        ...

    def find(self, key: str) -> Cgroup:
        """The container or cgroup of a key; raises `CgroupGone`."""
        ...

    def cgroup(self, path: str) -> Cgroup:
        """The cgroup that has this path now; raises `CgroupGone` or `OutOfSight`."""
        ...

    def is_alive(self, cgroup: Cgroup) -> bool:
        """Whether this very cgroup is still there."""
        ...


class Containers:
    """The containers and their slots, shared by both file systems."""

    def __init__(self, tree: Tree, slots: SlotTable) -> None:
        self._tree = tree
        self.slots = slots
        self._listed: Mapping[str, Cgroup] = {}
        self.changed_ns = time.time_ns()

    def listed(self) -> Mapping[str, Cgroup]:
        """Key -> container, as of now; notices when that changes, for the directory's mtime."""
        now = self._tree.containers()
        if now is not self._listed and now != self._listed:
            self.changed_ns = time.time_ns()
        self._listed = now
        return now

    def find(self, key: str) -> Cgroup:
        """The container or any other cgroup with this key. Raises OSError ENOENT."""
        try:
            return self._tree.find(key)
        except CgroupGone:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT)) from None

    def of_slot(self, slot: int) -> Cgroup:
        """The container of a slot. Raises OSError ENODEV when it is gone."""
        cgroup = self.slots.cgroup_of(slot) or self._found_again(slot)
        if cgroup is None:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        return cgroup if self.slots.is_settled(slot) else self._known_by_now(slot, cgroup)

    def _known_by_now(self, slot: int, cgroup: Cgroup) -> Cgroup:
        """The same container with all of its directories that were made meanwhile."""
        try:
            now = self._tree.cgroup(cgroup.path)
        except (CgroupGone, OutOfSight):
            return cgroup
        if now.inode != cgroup.inode:
            return cgroup
        self.slots.update(slot, now)
        return now

    def _found_again(self, slot: int) -> Cgroup | None:
        """The container that an earlier process gave this slot to; None when another one has its path by now."""
        restored = self.slots.restored(slot)
        if restored is None:
            return None
        path, inode = restored
        try:
            cgroup = self._tree.cgroup(path)
        except (CgroupGone, OutOfSight):
            return None
        if cgroup.inode != inode:
            return None
        self.slots.slot_of(cgroup)
        return cgroup

    def living(self, slot: int) -> Cgroup:
        """The container of a slot, which is there at this moment. Raises OSError ENODEV when it is gone."""
        cgroup = self.of_slot(slot)
        if not self._tree.is_alive(cgroup):
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        return cgroup
