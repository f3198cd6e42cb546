"""The directory tree that every container has, made from the views' paths; and the folders that differ.

A file's or directory's *index* is derived from its path alone, so that node ids mean the same to every process that
ever serves a mount, also after an upgrade that adds views.
"""

from __future__ import annotations

import stat
import zlib
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from procfs_fuse.views import Tree, View

INDEX_BITS = 32
ROOT_INDEX = 1
CONTAINERS_INDEX = 3
_RESERVED = frozenset({0, ROOT_INDEX, 2, CONTAINERS_INDEX})  # 2 is the cookie of ".."
_MOST_KEPT: Final = 32  # folders of containers with the same CPUs are the same


@dataclass(slots=True)
class Item:
    """A file (it has a view) or a directory (it has children)."""

    index: int
    path: str  # relative, "" for the top
    view: View | None = None
    children: dict[bytes, Item] = field(default_factory=dict)
    tree: Tree | None = None  # of a directory whose children depend on the container; `children` are those all have

    @property
    def mode(self) -> int:
        """Type and permissions, as ``st_mode`` has them."""
        return stat.S_IFREG | self.view.MODE if self.view else stat.S_IFDIR | 0o555


def index_of(path: str, again: int = 0) -> int:
    """The stable index of a relative path (32 bits); ``again`` gives others, for one that another path has."""
    if not path:
        return ROOT_INDEX
    return zlib.crc32(b"\0%d" % again, zlib.crc32(path.encode())) if again else zlib.crc32(path.encode())


class Layout:
    """All items below a container, by index. Raises ValueError when two of the views' paths share an index."""

    def __init__(self, views: Iterable[View], trees: Iterable[Tree] = ()) -> None:
        self.top = Item(ROOT_INDEX, "")
        self.trees = tuple(trees)
        self._by_index: dict[int, Item] = {ROOT_INDEX: self.top}
        self._views = tuple(views)
        self._grown: OrderedDict[tuple[str, Hashable], Mapping[int, Item]] = OrderedDict()
        for view in self._views:
            self._add(view.PATH, probing=False).view = view
        for tree in self.trees:
            self._add(tree.PATH, probing=False).tree = tree

    @property
    def items(self) -> Mapping[int, Item]:
        """Every item that all containers have, by its index."""
        return self._by_index

    def grown(self, tree: Tree, key: Hashable) -> Mapping[int, Item]:
        """The items of a container for which ``tree`` gives ``key``: its folder's and those above, no others."""
        items = self._grown.get((tree.PATH, key))
        if items is None:
            below = Layout(view for view in self._views if view.PATH.startswith(f"{tree.PATH}/"))
            for leaf in tree.leaves(key):
                below._add(leaf.PATH, probing=True).view = leaf
            items = self._grown[tree.PATH, key] = below.items
            while len(self._grown) > _MOST_KEPT:
                self._grown.popitem(last=False)
        self._grown.move_to_end((tree.PATH, key))
        return items

    def _add(self, whole: str, *, probing: bool) -> Item:
        item, path = self.top, ""
        for name in whole.split("/"):
            path = f"{path}/{name}" if path else name
            item = item.children.get(name.encode()) or self._new_child(item, path, probing=probing)
        return item

    def _new_child(self, parent: Item, path: str, *, probing: bool) -> Item:
        index, again = index_of(path), 0
        while index in self._by_index or index in _RESERVED:
            if not probing:
                message = f"{path} has the index of another path: name the view's file differently"
                raise ValueError(message)
            again += 1
            index = index_of(path, again)
        item = self._by_index[index] = Item(index, path)
        parent.children[path.rpartition("/")[2].encode()] = item
        return item
