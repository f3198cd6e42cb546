"""The tree of files: nodes, attributes, and which view answers. Knows no transport, no memory and no CPU.

Two file systems share one set of containers:

* `OpenFileSystem`: ``proc/…`` and ``sys/…`` answer for the caller's container, ``containers/<key>/…`` for that one.
  Like procfs, sizes are 0, every read at offset 0 renders afresh, and reads at other offsets continue in the bytes of
  the last rendering.
* `CachedFileSystem`: ``<key>/…``. Files of fixed length are served from the kernel's page cache for one TTL, the others
  are symbolic links to the open file system.

A node id is ``slot << 16 | index``: the container's slot (`identity`, 0 for the caller's tree) and the path's index
(`layout`). Both mean the same for ever, so nothing is remembered per lookup and FORGET can be ignored.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from cgroup_model.keys import escape_path
from cgroup_model.layout import Cgroup
from cgroup_model.mounts import OutOfSight
from cgroup_model.procfs import NoSuchTask
from cgroup_model.source import CgroupGone
from procfs_fuse.contents import Contents
from procfs_fuse.identity import CALLER_SLOT, SlotTable
from procfs_fuse.layout import CONTAINERS_INDEX, INDEX_BITS, ROOT_INDEX, Item, Layout
from procfs_fuse.transport import ROOT_NODE, Attr, Entry
from procfs_fuse.triggers import ALWAYS_READY, Trigger, Triggers
from procfs_fuse.views import View

_INDEX_MASK = (1 << INDEX_BITS) - 1
_SECOND_NS = 1_000_000_000
_NAME_VALID_NS = 10_000_000  # of a container
_STATIC_VALID_NS = 60 * _SECOND_NS  # names inside a container's tree never change
_MOST_KEPT_BYTES = 16 << 20  # content of open handles; beyond it the oldest is rendered anew when read on

CONTAINERS_NODE = CALLER_SLOT << INDEX_BITS | CONTAINERS_INDEX


class Tree(Protocol):
    """Where containers come from (`cgroup_model.hierarchy.Tree`)."""

    def containers(self) -> Mapping[str, Cgroup]:
        """Key -> container, as of now."""
        ...

    def find(self, key: str) -> Cgroup:
        """The container or cgroup of a key; raises `CgroupGone`."""
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
        cgroup = self.slots.cgroup_of(slot)
        if cgroup is None:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        return cgroup

    def living(self, slot: int) -> Cgroup:
        """The container of a slot, which is there at this moment. Raises OSError ENODEV when it is gone."""
        cgroup = self.of_slot(slot)
        if not self._tree.is_alive(cgroup):
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        return cgroup


class _FileSystem:
    """What both have in common: directories."""

    cached: bool

    def __init__(self, layout: Layout, containers: Containers, contents: Contents) -> None:
        self._layout = layout
        self._items = layout.items
        self._contents = contents
        self._containers = containers
        self._started_ns = time.time_ns()

    def _item(self, node: int, pid: int) -> Item:  # noqa: ARG002 - where the answer depends on the caller
        item = self._items.get(node & _INDEX_MASK)
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
        return self._directory(slot << INDEX_BITS | ROOT_INDEX, 0o555, self._started_ns, entry_valid_ns=_NAME_VALID_NS)

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
        attr_valid_ns: int = _SECOND_NS,
        entry_valid_ns: int = _STATIC_VALID_NS,
    ) -> Attr:
        return Attr(node, stat.S_IFDIR | permissions, 0, mtime_ns, attr_valid_ns, entry_valid_ns, nlink=2)


@dataclass(slots=True)
class _Handle:
    """One open file."""

    view: View
    cgroup: Cgroup | None  # None: the host, or unknown
    problem: str | None = None  # why the caller's container is unknown
    trigger: Trigger | None = None
    passthrough: bool = False  # of the moment of the open: one open file never has two kinds of answers
    content: bytes | None = None


class OpenFileSystem(_FileSystem):
    """The caller-dependent tree and the per-container files that may not be cached."""

    cached = False

    def __init__(
        self,
        layout: Layout,
        containers: Containers,
        contents: Contents,
        container_of: Callable[[int], Cgroup | None],
        triggers: Triggers | None = None,
    ) -> None:
        super().__init__(layout, containers, contents)
        self._container_of = container_of
        self._triggers = triggers
        self._handles: dict[int, _Handle] = {}
        self._kept: OrderedDict[int, int] = OrderedDict()  # handle -> bytes kept for it
        self._kept_bytes = 0
        self._next_handle = time.time_ns()  # never a handle that an earlier process gave out

    @property
    def open_handles(self) -> int:
        """Number of open files."""
        return len(self._handles)

    def lookup(self, parent: int, name: bytes, pid: int) -> Attr:
        """See `transport.FileSystem`."""
        if parent == CONTAINERS_NODE:
            return self._lookup_container(name)
        if parent == ROOT_NODE and name == b"containers":
            return self._containers_directory(CONTAINERS_NODE)
        child = self._child(parent, name, pid)
        return self.getattr(parent & ~_INDEX_MASK | child.index, pid)

    def getattr(self, node: int, pid: int) -> Attr:
        """See `transport.FileSystem`."""
        if node == CONTAINERS_NODE:
            return self._containers_directory(node)
        item = self._item(node, pid)
        slot = node >> INDEX_BITS
        if slot != CALLER_SLOT:
            self._containers.of_slot(slot)
        valid_ns, name_valid_ns = _SECOND_NS, _STATIC_VALID_NS
        if item.index not in self._items:  # another container, or the same one later, may not have it
            valid_ns = name_valid_ns = 0 if slot == CALLER_SLOT else _NAME_VALID_NS
        if item.view is None:
            return self._directory(node, 0o555, self._started_ns, attr_valid_ns=valid_ns, entry_valid_ns=name_valid_ns)
        return Attr(node, item.mode, 0, time.time_ns(), valid_ns, name_valid_ns)

    def readlink(self, node: int) -> bytes:
        """There are no links here."""
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), node)

    def readdir(self, node: int, pid: int) -> list[Entry]:
        """See `transport.FileSystem`."""
        if node == CONTAINERS_NODE:
            return self._list_containers()
        base = node & ~_INDEX_MASK
        found = [
            Entry(name, base | child.index, stat.S_IFMT(child.mode) >> 12) for name, child in self._children(node, pid)
        ]
        if node == ROOT_NODE:
            found.append(Entry(b"containers", CONTAINERS_NODE, stat.S_IFDIR >> 12))
        return sorted(found, key=lambda entry: entry.ino)

    def open(self, node: int, flags: int, pid: int) -> int:
        """See `transport.FileSystem`."""
        handle = self._new_handle(node, pid)
        if flags & os.O_ACCMODE != os.O_RDONLY and not handle.view.TRIGGERS:
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        if handle.view.exists is not None and not handle.passthrough:
            self._render(handle)  # EOPNOTSUPP now, as the kernel does it, and not at the first read
        number = self._next_handle
        self._next_handle += 1
        self._handles[number] = handle
        return number

    def read(self, node: int, fh: int, offset: int, size: int, pid: int) -> bytes:
        """See `transport.FileSystem`."""
        handle = self._handles.get(fh)
        if handle is None:
            handle = self._handles[fh] = self._new_handle(node, pid)  # opened before we were started
        content = handle.content
        if content is None or offset == 0:
            content = self._render(handle)
            self._keep(fh, handle, content)
        return content[offset : offset + size]

    def release(self, node: int, fh: int) -> None:  # noqa: ARG002 - the protocol's
        """See `transport.FileSystem`."""
        handle = self._handles.pop(fh, None)
        if handle is not None and handle.trigger is not None and self._triggers is not None:
            self._triggers.close(handle.trigger)
        self._kept_bytes -= self._kept.pop(fh, 0)

    def write(self, node: int, fh: int, data: bytes, pid: int) -> int:
        """Make a trigger, as the kernel's own pressure files do; a file has no more than one."""
        handle = self._handles.get(fh)
        if handle is None:
            handle = self._handles[fh] = self._new_handle(node, pid)
        if self._triggers is None or handle.cgroup is None or not handle.view.TRIGGERS:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        if handle.trigger is not None:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        cgroup, view = handle.cgroup, handle.view
        handle.trigger = self._triggers.make(data, lambda: self._contents.open_trigger(cgroup, view))
        return len(data)

    def poll(self, node: int, fh: int, poller: int | None, pid: int) -> int:  # noqa: ARG002 - the protocol's
        """What is ready: a file without a trigger always is."""
        handle = self._handles.get(fh)
        if handle is None or handle.trigger is None or self._triggers is None:
            return ALWAYS_READY
        return self._triggers.poll(handle.trigger, poller)

    def settle(self) -> None:
        """Nothing is left for later here."""

    def _item(self, node: int, pid: int) -> Item:
        item = self._items.get(node & _INDEX_MASK)
        if item is not None and item.tree is None:
            return item
        cgroup = self._cgroup_of(node, pid)
        for tree in self._layout.trees if item is None or item.tree is None else (item.tree,):
            grown = self._layout.grown(tree, self._contents.key_of(cgroup, tree)).get(node & _INDEX_MASK)
            if grown is not None:
                return grown
        if item is not None:
            return item  # a machine without that folder
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))

    def _cgroup_of(self, node: int, pid: int) -> Cgroup | None:
        if node >> INDEX_BITS != CALLER_SLOT:
            return super()._cgroup_of(node, pid)
        try:
            return self._container_of(pid)
        except (NoSuchTask, CgroupGone):
            return None

    def _new_handle(self, node: int, pid: int) -> _Handle:
        view, slot = self._view(node, pid), node >> INDEX_BITS
        if self._contents.passthrough:
            return _Handle(view, None, passthrough=True)
        if slot != CALLER_SLOT:
            return _Handle(view, self._containers.of_slot(slot))
        try:
            return _Handle(view, self._container_of(pid))
        except NoSuchTask:
            return _Handle(view, None, "the caller cannot be seen")
        except CgroupGone:
            return _Handle(view, None, "the caller's cgroup is gone")
        except OutOfSight:
            return _Handle(view, None, "the caller's cgroup is not mounted here")

    def _render(self, handle: _Handle) -> bytes:
        if handle.cgroup is not None:
            return self._contents.of_container(handle.cgroup, handle.view)
        if handle.problem is not None:
            return self._contents.unresolved(handle.view, handle.problem)
        return self._contents.of_host(handle.view)

    def _keep(self, fh: int, handle: _Handle, content: bytes) -> None:
        self._kept_bytes += len(content) - self._kept.pop(fh, 0)
        self._kept[fh] = len(content)
        handle.content = content
        while self._kept_bytes > _MOST_KEPT_BYTES and len(self._kept) > 1:
            oldest, length = self._kept.popitem(last=False)
            self._kept_bytes -= length
            self._handles[oldest].content = None


@dataclass(slots=True)
class _Generation:
    """What one cached file holds for one TTL."""

    length: int
    mtime_ns: int
    until_ns: int  # CLOCK_MONOTONIC
    content: bytes | None = None  # None: announced, about to be rendered
    before: bytes = b""  # content of the generation before
    is_last: bool = False  # of its length, or at all: what follows is rendered before it is announced


class CachedFileSystem(_FileSystem):
    """The files that the page cache may hold."""

    cached = True

    def __init__(
        self, layout: Layout, containers: Containers, contents: Contents, *, open_mountpoint: str, ttl_ns: int
    ) -> None:
        super().__init__(layout, containers, contents)
        self._ttl_ns = ttl_ns
        self._links_to = open_mountpoint.rstrip("/")
        self._generations: dict[int, _Generation] = {}
        self._announced: tuple[int, View] | None = None

    def lookup(self, parent: int, name: bytes, pid: int) -> Attr:
        """See `transport.FileSystem`."""
        if parent == ROOT_NODE:
            return self._lookup_container(name)
        child = self._child(parent, name, pid)
        return self.getattr(parent & ~_INDEX_MASK | child.index, pid)

    def getattr(self, node: int, pid: int) -> Attr:
        """See `transport.FileSystem`. For a file past its TTL: new content under a new mtime."""
        if node == ROOT_NODE:
            return self._containers_directory(node)
        item = self._item(node, pid)
        if item.view is None and item.tree is None:
            self._containers.of_slot(node >> INDEX_BITS)
            return self._directory(node, 0o555, self._started_ns)
        if item.view is None or not item.view.CACHEABLE:
            length = len(self.readlink(node))
            return Attr(node, stat.S_IFLNK | 0o777, length, self._started_ns, _STATIC_VALID_NS, _STATIC_VALID_NS)
        generation = self._announce(node, item.view)
        return Attr(node, item.mode, generation.length, generation.mtime_ns, self._ttl_ns, _STATIC_VALID_NS)

    def readlink(self, node: int) -> bytes:
        """The same file on the open file system."""
        item = self._item(node, 0)
        if item.tree is None and (item.view is None or item.view.CACHEABLE):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        key = escape_path(self._containers.of_slot(node >> INDEX_BITS).path)
        return os.fsencode(f"{self._links_to}/containers/{key}/{item.path}")

    def readdir(self, node: int, pid: int) -> list[Entry]:
        """See `transport.FileSystem`."""
        if node == ROOT_NODE:
            return self._list_containers()
        base = node & ~_INDEX_MASK
        found = [Entry(name, base | child.index, _kind(child) >> 12) for name, child in self._children(node, pid)]
        return sorted(found, key=lambda entry: entry.ino)

    def open(self, node: int, flags: int, pid: int) -> int:  # noqa: ARG002 - the protocol's
        """Never called: the kernel was told not to."""
        raise OSError(errno.EIO, os.strerror(errno.EIO), node)

    def read(self, node: int, fh: int, offset: int, size: int, pid: int) -> bytes:  # noqa: ARG002 - the protocol's
        """The bytes that the last GETATTR announced."""
        generation = self._generations.get(node) or self._announce(node, self._view(node, pid))
        self.settle()
        if generation.content is None:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        return generation.content[offset : offset + size]

    def settle(self) -> None:
        """Render what was announced: after the answer, while its receiver wakes up and asks for the bytes."""
        if self._announced is None:
            return
        (node, view), self._announced = self._announced, None
        generation = self._generations[node]
        try:
            content = self._content(self._containers.of_slot(node >> INDEX_BITS), view)
        except OSError:
            content = b""  # gone since: the next GETATTR says so
        if len(content) != generation.length:
            # The machine changed (memory or swap was added): the new length has to be announced first.
            # READ must not fail: what an error in filling the page cache looks like differs between kernels (EIO).
            content, generation.until_ns, generation.is_last = generation.before, 0, True
        generation.content = content

    def release(self, node: int, fh: int) -> None:
        """Never called."""

    def keep_only(self, alive_slots: set[int]) -> None:
        """Forget the content of containers that are gone."""
        for node in [node for node in self._generations if node >> INDEX_BITS not in alive_slots]:
            del self._generations[node]

    def _content(self, cgroup: Cgroup, view: View) -> bytes:
        if self._contents.passthrough:
            return self._contents.of_host(view)
        return self._contents.of_container(cgroup, view)

    def _announce(self, node: int, view: View) -> _Generation:
        """One generation per node and TTL, whoever asks: concurrent readers get the same bytes, size and mtime."""
        now = time.monotonic_ns()
        old = self._generations.get(node)
        if old is not None and now < old.until_ns:
            return old
        self.settle()
        cgroup = self._containers.living(node >> INDEX_BITS)
        mtime_ns = max(time.time_ns(), 0 if old is None else old.mtime_ns + 1)
        if old is None or old.content is None or old.is_last:
            content = self._content(cgroup, view)
            generation = _Generation(len(content), mtime_ns, now + self._ttl_ns, content)
        else:
            generation = _Generation(old.length, mtime_ns, now + self._ttl_ns, None, old.content)
            self._announced = (node, view)
        self._generations[node] = generation
        return generation


def _kind(item: Item) -> int:
    if item.view is None:
        return stat.S_IFDIR if item.tree is None else stat.S_IFLNK
    return stat.S_IFREG if item.view.CACHEABLE else stat.S_IFLNK
