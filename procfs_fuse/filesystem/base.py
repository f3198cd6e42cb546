"""What both file systems have in common: directories."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterator
from typing import Final

from cgroup_model.layout import Cgroup
from procfs_fuse.contents import Contents
from procfs_fuse.filesystem.containers import Containers
from procfs_fuse.layout import INDEX_BITS, ROOT_INDEX, Item, Layout
from procfs_fuse.transport import Attr, Entry
from procfs_fuse.views import View

INDEX_MASK: Final = (1 << INDEX_BITS) - 1
SECOND_NS: Final = 1_000_000_000
NAME_VALID_NS: Final = 10_000_000
"""How long the name of a container may be trusted."""
STATIC_VALID_NS: Final = 60 * SECOND_NS
"""Names inside a container's tree never change."""


class FileSystemBase:
    """What both have in common: directories."""

    cached: bool

    def __init__(self, layout: Layout, containers: Containers, contents: Contents) -> None:
        self._layout = layout
        self._items = layout.items
        self._contents = contents
        self._containers = containers
        self._started_ns = time.time_ns()

    def _item(self, node: int, pid: int) -> Item:  # noqa: ARG002 - where the answer depends on the caller
        item = self._items.get(node & INDEX_MASK)
        if item is None:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        return item

    def _child(self, parent: int, name: bytes, pid: int) -> Item:
        child = self._item(parent, pid).children.get(name)
        if child is None:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        return child

    def _children(self, node: int, pid: int) -> Iterator[tuple[bytes, Item]]:
        """Name and item of everything in a directory that the container has."""
        cgroup = self._cgroup_of(node, pid)
        for name, child in self._item(node, pid).children.items():
            if cgroup is None or child.view is None or self._contents.has(cgroup, child.view):
                yield name, child

    def _cgroup_of(self, node: int, pid: int) -> Cgroup | None:  # noqa: ARG002 - as above
        """The container that a node shows; None: the host, or a caller that cannot be told."""
        return self._containers.of_slot(node >> INDEX_BITS)

    def _view(self, node: int, pid: int) -> View:
        view = self._item(node, pid).view
        if view is None:
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
        return view

    def _lookup_container(self, name: bytes) -> Attr:
        cgroup = self._containers.find(os.fsdecode(name))
        slot = self._containers.slots.slot_of(cgroup)
        # Valid for a moment only: a container that is gone soon has no name any more.
        return self._directory(slot << INDEX_BITS | ROOT_INDEX, 0o555, self._started_ns, entry_valid_ns=NAME_VALID_NS)

    def _list_containers(self) -> list[Entry]:
        slot_of = self._containers.slots.slot_of
        found = [
            Entry(os.fsencode(key), slot_of(cgroup) << INDEX_BITS | ROOT_INDEX, stat.S_IFDIR >> 12)
            for key, cgroup in self._containers.listed().items()
        ]
        return sorted(found, key=lambda entry: entry.ino)

    def _containers_directory(self, node: int) -> Attr:
        self._containers.listed()
        return self._directory(node, 0o700, self._containers.changed_ns, attr_valid_ns=0)

    def _directory(
        self,
        node: int,
        permissions: int,
        mtime_ns: int,
        *,
        attr_valid_ns: int = SECOND_NS,
        entry_valid_ns: int = STATIC_VALID_NS,
    ) -> Attr:
        return Attr(node, stat.S_IFDIR | permissions, 0, mtime_ns, attr_valid_ns, entry_valid_ns, nlink=2)
