"""The cached connection: files of fixed length from the page cache, links to the others."""

from __future__ import annotations

import errno
import os
import stat
import time
import zlib
from dataclasses import dataclass
from struct import Struct
from typing import Final

from cgroup_model.keys import escape_path
from cgroup_model.layout import Cgroup
from procfs_fuse.contents import Contents
from procfs_fuse.filesystem.base import INDEX_MASK, STATIC_VALID_NS, FileSystemBase
from procfs_fuse.filesystem.containers import Containers
from procfs_fuse.filesystem.kept import Forgetful, Kept
from procfs_fuse.layout import INDEX_BITS, Item, Layout, index_of
from procfs_fuse.transport import ROOT_NODE, Attr, Entry
from procfs_fuse.views import View

_WHOLE = 1 << 30  # bytes: more than any file has
_HEAD: Final = Struct("=I")  # of what is kept: the length, then the bytes, deflated
_WINDOW_BITS: Final = -11  # no header, and little memory to set up: a file of 1,500 bytes is packed in 15 us
_MEMORY_LEVEL: Final = 4


@dataclass(slots=True)
class _Generation:
    """What one cached file holds for one TTL."""

    length: int
    mtime_ns: int
    until_ns: int  # CLOCK_MONOTONIC
    content: bytes | None = None  # None: announced, about to be rendered
    before: bytes = b""  # while there is no content: that of the generation before
    packed: bytes = b""  # the same, as a process before has kept it
    is_last: bool = False  # of its length, or at all: what follows is rendered before it is announced


class CachedFileSystem(FileSystemBase):
    """The files that the page cache may hold."""

    cached = True

    def __init__(
        self,
        layout: Layout,
        containers: Containers,
        contents: Contents,
        *,
        open_mountpoint: str,
        ttl_ns: int,
        kept: Kept | None = None,
    ) -> None:
        super().__init__(layout, containers, contents)
        self.ttl_ns = ttl_ns
        """How long a file stays as it is."""
        self._links_to = open_mountpoint.rstrip("/")
        self._generations: dict[int, _Generation] = {}
        self._announced: tuple[int, View] | None = None
        self._kept = kept or Forgetful()

    def restore(self) -> None:
        """Take over the lengths that a process before announced, with bytes of that length in case of need."""
        for node, kept in list(self._kept.items()):
            (length,) = _HEAD.unpack_from(kept)
            self._generations[node] = _Generation(length, 0, 0, None, packed=kept)

    def lookup(self, parent: int, name: bytes, pid: int) -> Attr:
        """See `transport.FileSystem`."""
        if parent == ROOT_NODE:
            return self._lookup_container(name)
        child = self._child(parent, name, pid)
        return self.getattr(parent & ~INDEX_MASK | child.index, pid)

    def getattr(self, node: int, pid: int, fh: int | None = None) -> Attr:  # noqa: ARG002 - nothing is opened here
        """See `transport.FileSystem`. For a file past its TTL: new content under a new mtime."""
        if node == ROOT_NODE:
            return self._containers_directory(node)
        item = self._item(node, pid)
        if item.view is None and item.tree is None:
            self._containers.of_slot(node >> INDEX_BITS)
            return self._directory(node, 0o555, self._started_ns)
        if item.view is None or not item.view.CACHEABLE:
            length = len(self.readlink(node))
            return Attr(node, stat.S_IFLNK | 0o777, length, self._started_ns, STATIC_VALID_NS, STATIC_VALID_NS)
        generation = self._announce(node, item.view)
        valid_ns = max(0, generation.until_ns - time.monotonic_ns())  # it may have been made for somebody else
        return Attr(node, item.mode, generation.length, generation.mtime_ns, valid_ns, STATIC_VALID_NS)

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
        base = node & ~INDEX_MASK
        found = [Entry(name, base | child.index, _kind(child) >> 12) for name, child in self._children(node, pid)]
        return sorted(found, key=lambda entry: entry.ino)

    def open(self, node: int, flags: int, pid: int) -> int:  # noqa: ARG002 - the protocol's
        """Never called: the kernel was told not to."""
        raise OSError(errno.EIO, os.strerror(errno.EIO), node)

    def read(self, node: int, fh: int, offset: int, size: int, pid: int) -> bytes:  # noqa: ARG002 - the protocol's
        """The bytes that the last GETATTR announced."""
        generation = self._generations.get(node) or self._announce(node, self._view(node, pid))
        self.settle()
        if generation.content is None:  # announced by a process before
            self._announced = (node, self._view(node, pid))
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
            content = generation.before or _unpacked(generation.packed)
            generation.until_ns, generation.is_last = 0, True
        generation.content, generation.before, generation.packed = content, b"", b""

    def release(self, node: int, fh: int) -> None:
        """Never called."""

    def shown(self, cgroup: Cgroup, view: View) -> tuple[bytes, int]:
        """What readers of this file are given at this moment, and until when (CLOCK_MONOTONIC). Raises OSError.

        For whoever must agree with them.
        """
        node = self._containers.slots.slot_of(cgroup) << INDEX_BITS | index_of(view.PATH)
        generation = self._announce(node, view)
        return self.read(node, 0, 0, _WHOLE, 0), generation.until_ns

    def keep_only(self, alive_slots: set[int]) -> None:
        """Forget the content of containers that are gone."""
        for node in [node for node in self._generations if node >> INDEX_BITS not in alive_slots]:
            del self._generations[node]
            self._kept.drop(node)

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
            generation = _Generation(len(content), mtime_ns, now + self.ttl_ns, content)
            if old is None or old.length != len(content):
                self._kept.put(node, *_packed(content))
        else:
            generation = _Generation(old.length, mtime_ns, now + self.ttl_ns, None, old.content)
            self._announced = (node, view)
        self._generations[node] = generation
        return generation


def _kind(item: Item) -> int:
    if item.view is None:
        return stat.S_IFDIR if item.tree is None else stat.S_IFLNK
    return stat.S_IFREG if item.view.CACHEABLE else stat.S_IFLNK


def _packed(content: bytes) -> tuple[bytes, ...]:
    """Return what is kept of an announced content, in parts: there is one for each container that reads."""
    packer = zlib.compressobj(1, zlib.DEFLATED, _WINDOW_BITS, _MEMORY_LEVEL)
    return _HEAD.pack(len(content)), packer.compress(content), packer.flush()


def _unpacked(kept: bytes) -> bytes:
    return zlib.decompress(kept[_HEAD.size :], _WINDOW_BITS)
