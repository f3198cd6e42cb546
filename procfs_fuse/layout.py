"""The directory tree that every container has, made from the views' paths.

A file's or directory's *index* is derived from its path alone, so that node ids mean the same to every process that
ever serves a mount, also after an upgrade that adds views.
"""

from __future__ import annotations

import stat
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from procfs_fuse.views import View

INDEX_BITS = 16
ROOT_INDEX = 1
CONTAINERS_INDEX = 3
_RESERVED = frozenset({0, ROOT_INDEX, 2, CONTAINERS_INDEX})  # 2 is the cookie of ".."


@dataclass(slots=True)
class Item:
    """A file (it has a view) or a directory (it has children)."""

    index: int
    path: str  # relative, "" for the top
    view: View | None = None
    children: dict[bytes, Item] = field(default_factory=dict)

    @property
    def mode(self) -> int:
        """Type and permissions, as ``st_mode`` has them."""
        return stat.S_IFREG | self.view.MODE if self.view else stat.S_IFDIR | 0o555


def index_of(path: str) -> int:
    """The stable index of a relative path (16 bits)."""
    return zlib.crc32(path.encode()) & ((1 << INDEX_BITS) - 1) if path else ROOT_INDEX


class Layout:
    """All items below a container, by index. Raises ValueError when two paths share an index."""

    def __init__(self, views: Iterable[View]) -> None:
        self.top = Item(ROOT_INDEX, "")
        self._by_index: dict[int, Item] = {ROOT_INDEX: self.top}
        for view in views:
            self._add(view)

    def _add(self, view: View) -> None:
        item, path = self.top, ""
        for name in view.PATH.split("/"):
            path = f"{path}/{name}" if path else name
            item = item.children.get(name.encode()) or self._new_child(item, path)
        item.view = view

    def _new_child(self, parent: Item, path: str) -> Item:
        item = Item(index_of(path), path)
        if item.index in self._by_index or item.index in _RESERVED:
            message = f"{path} has the index of another path: name the view's file differently"
            raise ValueError(message)
        self._by_index[item.index] = item
        parent.children[path.rpartition("/")[2].encode()] = item
        return item

    @property
    def items(self) -> Mapping[int, Item]:
        """Every item by its index."""
        return self._by_index
