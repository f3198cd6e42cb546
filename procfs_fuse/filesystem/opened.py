"""The open connection: the caller's own files, and per container those that may not be cached."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Callable

from cgroup_model.layout import Cgroup
from cgroup_model.mounts import OutOfSight
from cgroup_model.procfs import NoSuchTask
from cgroup_model.source import CgroupGone
from procfs_fuse.contents import Contents
from procfs_fuse.filesystem.base import (
    INDEX_MASK,
    NAME_VALID_NS,
    SECOND_NS,
    STATIC_VALID_NS,
    FileSystemBase,
)
from procfs_fuse.filesystem.containers import Containers
from procfs_fuse.filesystem.handles import Handle, Handles, Record
from procfs_fuse.filesystem.kept import Forgetful, Kept
from procfs_fuse.filesystem.sizes import SHORT_VALID_NS, Sizes, announced, is_short
from procfs_fuse.identity import CALLER_SLOT
from procfs_fuse.layout import CONTAINERS_INDEX, INDEX_BITS, Item, Layout
from procfs_fuse.transport import ROOT_NODE, Attr, Entry
from procfs_fuse.triggers import ALWAYS_READY, Trigger, Triggers
from procfs_fuse.views import View

CONTAINERS_NODE = CALLER_SLOT << INDEX_BITS | CONTAINERS_INDEX

_UNSEEN = "the caller cannot be seen"


class OpenFileSystem(FileSystemBase):
    """The caller-dependent tree and the per-container files that may not be cached."""

    cached = False

    def __init__(
        self,
        layout: Layout,
        containers: Containers,
        contents: Contents,
        container_of: Callable[[int], Cgroup | None],
        triggers: Triggers | None = None,
        kept: Kept | None = None,
    ) -> None:
        super().__init__(layout, containers, contents)
        self._container_of = container_of
        self._triggers = triggers
        self._handles = Handles(kept or Forgetful())
        self._sizes = Sizes()

    @property
    def open_handles(self) -> int:
        """Number of open files."""
        return len(self._handles)

    def restore(self) -> None:
        """Take over the files that a process before had open; what cannot be told is made up at the next read."""
        for record in list(self._handles.records()):
            with contextlib.suppress(OSError):
                handle = self._restored(record)
                self._handles.restore(record, handle)
                if record.trigger_text:
                    self._restore_trigger(handle, record)

    def lookup(self, parent: int, name: bytes, pid: int) -> Attr:
        """See `transport.FileSystem`."""
        if parent == CONTAINERS_NODE:
            return self._lookup_container(name)
        if parent == ROOT_NODE and name == b"containers":
            return self._containers_directory(CONTAINERS_NODE)
        child = self._child(parent, name, pid)
        return self._attr(parent & ~INDEX_MASK | child.index, child)

    def keep_only(self, alive_slots: set[int]) -> None:
        """Forget what is known of containers that are gone."""
        self._sizes.keep_only(alive_slots)

    def getattr(self, node: int, pid: int, fh: int | None = None) -> Attr:
        """See `transport.FileSystem`."""
        if node == CONTAINERS_NODE:
            return self._containers_directory(node)
        item = self._item(node, pid)
        attr = self._attr(node, item)
        if item.view is not None and _varies(item.view):
            length = self._length(node, pid, fh)
            attr.size = announced(length)
            differs = node >> INDEX_BITS == CALLER_SLOT and self._differs(item.index, item.view)
            attr.attr_valid_ns = SHORT_VALID_NS if is_short(length) and not differs else 0
        return attr

    def _attr(self, node: int, item: Item) -> Attr:
        """Attributes without those that need a rendering: the kernel is to ask for these at once."""
        slot = node >> INDEX_BITS
        if slot != CALLER_SLOT:
            self._containers.of_slot(slot)
        valid_ns, name_valid_ns = SECOND_NS, STATIC_VALID_NS
        if item.index not in self._items:  # another container, or the same one later, may not have it
            valid_ns = name_valid_ns = 0 if slot == CALLER_SLOT else NAME_VALID_NS
        if item.view is None:
            return self._directory(node, 0o555, self._started_ns, attr_valid_ns=valid_ns, entry_valid_ns=name_valid_ns)
        valid_ns = 0 if _varies(item.view) else valid_ns
        return Attr(node, item.mode, announced(0), time.time_ns(), valid_ns, name_valid_ns)

    def readlink(self, node: int) -> bytes:
        """There are no links here."""
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), node)

    def readdir(self, node: int, pid: int) -> list[Entry]:
        """See `transport.FileSystem`."""
        if node == CONTAINERS_NODE:
            return self._list_containers()
        base = node & ~INDEX_MASK
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
        return self._handles.add(handle)

    def read(self, node: int, fh: int, offset: int, size: int, pid: int) -> bytes:
        """See `transport.FileSystem`."""
        handle = self._handles.find(fh) or self._reopened(node, fh, pid)
        content = handle.content
        if content is None or (offset == 0 and not self._handles.is_repeated(handle.rendered_for)):
            content = self._render(handle)
            self._handles.keep(fh, handle, content)
        return content[offset : offset + size]

    def release(self, node: int, fh: int) -> None:  # noqa: ARG002 - the protocol's
        """See `transport.FileSystem`."""
        handle = self._handles.drop(fh)
        if handle is not None and handle.trigger is not None and self._triggers is not None:
            self._triggers.close(handle.trigger)

    def write(self, node: int, fh: int, data: bytes, pid: int) -> int:
        """Make a trigger, as the kernel's own pressure files do; a file has no more than one."""
        handle = self._handles.find(fh) or self._reopened(node, fh, pid)
        if self._triggers is None or handle.cgroup is None or not handle.view.TRIGGERS:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        if handle.trigger is not None:
            if self._handles.is_repeated(handle.triggered_for):
                return len(data)
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        handle.trigger = self._make_trigger(self._triggers, handle.cgroup, handle.view, data)
        self._handles.keep_trigger(fh, handle, data)
        return len(data)

    def poll(self, node: int, fh: int, poller: int | None, pid: int) -> int:  # noqa: ARG002 - the protocol's
        """What is ready: a file without a trigger always is."""
        handle = self._handles.find(fh)
        if handle is None or handle.trigger is None or self._triggers is None:
            return ALWAYS_READY
        ready = self._triggers.poll(handle.trigger, poller)
        if poller is not None:
            self._handles.keep_trigger(fh, handle)
        return ready

    def settle(self) -> None:
        """Nothing is left for later here."""

    def _item(self, node: int, pid: int) -> Item:
        item = self._items.get(node & INDEX_MASK)
        if item is not None and item.tree is None:
            return item
        cgroup = self._cgroup_of(node, pid)
        for tree in self._layout.trees if item is None or item.tree is None else (item.tree,):
            grown = self._layout.grown(tree, self._contents.key_of(cgroup, tree)).get(node & INDEX_MASK)
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

    def _reopened(self, node: int, fh: int, pid: int) -> Handle:
        """A file that was opened before we were started and of which nothing was kept."""
        handle = self._new_handle(node, pid)
        self._handles.add(handle, fh)
        return handle

    def _new_handle(self, node: int, pid: int) -> Handle:
        view, slot = self._view(node, pid), node >> INDEX_BITS
        if self._contents.passthrough:
            return Handle(node, view, None, passthrough=True)
        if slot != CALLER_SLOT:
            return Handle(node, view, self._containers.of_slot(slot), slot)
        try:
            cgroup = self._container_of(pid)
        except NoSuchTask:
            return Handle(node, view, None, problem=_UNSEEN)
        except CgroupGone:
            return Handle(node, view, None, problem="the caller's cgroup is gone")
        except OutOfSight:
            return Handle(node, view, None, problem="the caller's cgroup is not mounted here")
        return Handle(node, view, cgroup, 0 if cgroup is None else self._containers.slots.slot_of(cgroup))

    def _restored(self, record: Record) -> Handle:
        view = self._view(record.node, 0)
        handle = Handle(record.node, view, None, record.slot, passthrough=record.passthrough)
        if record.unseen:
            handle.problem = _UNSEEN
        if record.slot and not record.passthrough:
            try:
                handle.cgroup = self._containers.of_slot(record.slot)
            except OSError:
                handle.gone = True
        return handle

    def _restore_trigger(self, handle: Handle, record: Record) -> None:
        if self._triggers is None or handle.cgroup is None:
            return
        handle.trigger = self._make_trigger(self._triggers, handle.cgroup, handle.view, record.trigger_text)
        handle.trigger.poller = record.poller or None

    def _make_trigger(self, triggers: Triggers, cgroup: Cgroup, view: View, text: bytes) -> Trigger:
        return triggers.make(text, lambda: self._contents.open_trigger(cgroup, view))

    def _length(self, node: int, pid: int, fh: int | None) -> int:
        """How long the file is: what an open one continues with, else what was rendered last; 0 if it has nothing."""
        handle = None if fh is None else self._handles.find(fh)
        try:
            if fh is not None and handle is not None:
                if handle.content is None:
                    self._handles.keep(fh, handle, self._render(handle))
                return len(handle.content or b"")
            handle = self._new_handle(node, pid)
            known = self._sizes.known(handle.slot << INDEX_BITS | node & INDEX_MASK)
            return len(self._render(handle)) if known is None else known
        except OSError:
            return 0  # opening it will say why

    def _differs(self, index: int, view: View) -> bool:
        """Whether callers may have to be told different sizes of one inode, which must not be remembered then."""
        machine = CALLER_SLOT << INDEX_BITS | index
        if machine not in self._sizes:
            with contextlib.suppress(OSError):
                self._sizes.note(machine, len(self._contents.of_host(view)))
        return self._sizes.may_be_long(index)

    def _render(self, handle: Handle) -> bytes:
        content = self._rendered(handle)
        if _varies(handle.view):
            self._sizes.note(handle.slot << INDEX_BITS | handle.node & INDEX_MASK, len(content))
        return content

    def _rendered(self, handle: Handle) -> bytes:
        if handle.gone:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        if handle.cgroup is not None:
            same = self._same(handle, handle.cgroup)
            return self._contents.of_container(handle.cgroup, handle.view) if same is None else same
        if handle.problem is not None:
            return self._contents.unresolved(handle.view, handle.problem)
        return self._contents.of_host(handle.view)

    def _same(self, handle: Handle, cgroup: Cgroup) -> bytes | None:
        """What the container was told a moment ago, if it is there and nothing else is to be told yet."""
        if handle.view.same_until is None or (content := self._contents.latest(cgroup, handle.view)) is None:
            return None
        self._containers.living(handle.slot)
        return content


def _varies(view: View) -> bool:
    """Whether the file may have more than a page: those of sysfs have none."""
    return view.PATH.startswith("proc/")
