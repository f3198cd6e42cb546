"""Open files: what each was opened on, and the bytes that its reader was given the beginning of.

A reader that got the first half of a rendering must get the second half of the same one, whoever serves by then. So
each handle's content is kept beside this process, with the number of the request that it was rendered for: when that
request is answered once more, because nobody knows whether it was, it gets the same bytes.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct
from typing import Final, NamedTuple

from cgroup_model.layout import Cgroup
from procfs_fuse.filesystem.kept import Kept
from procfs_fuse.triggers import Trigger
from procfs_fuse.views import View

MOST_KEPT_BYTES: Final = 16 << 20
"""Content of open handles in memory; beyond it the oldest is rendered anew when read on."""

_HEAD: Final = Struct("=QQQQQII")
_PASSTHROUGH: Final = 1
_HAS_CONTENT: Final = 2
_UNSEEN: Final = 4


@dataclass(slots=True)
class Handle:
    """One open file."""

    node: int
    view: View
    cgroup: Cgroup | None  # None: the host, or unknown
    slot: int = 0  # of the container, 0 without one
    problem: str | None = None  # why the caller's container is unknown
    passthrough: bool = False  # of the moment of the open: one open file never has two kinds of answers
    content: bytes | None = None
    rendered_for: int = 0  # number of the request, if it was another process's
    gone: bool = False  # its container went while nobody served
    trigger: Trigger | None = None
    trigger_text: bytes = b""
    triggered_for: int = 0  # number of the request, if it was another process's


class Record(NamedTuple):
    """What is kept of a handle."""

    fh: int
    node: int
    slot: int
    rendered_for: int
    triggered_for: int
    poller: int
    flags: int
    trigger_text: bytes
    content: bytes | None

    @property
    def passthrough(self) -> bool:
        """Whether it shows the machine's values."""
        return bool(self.flags & _PASSTHROUGH)

    @property
    def unseen(self) -> bool:
        """Whether its caller's container was unknown."""
        return bool(self.flags & _UNSEEN)


class Handles:
    """All open files of one file system."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept
        self._handles: dict[int, Handle] = {}
        self._lengths: OrderedDict[int, int] = OrderedDict()  # handle -> bytes in memory, oldest first
        self.bytes = 0
        """Length of all contents in memory."""
        self._next = time.time_ns()  # never a handle that an earlier process gave out
        self.find = self._handles.get
        """Handle of a number, None for one that was opened before we were started."""

    def __len__(self) -> int:
        return len(self._handles)

    def add(self, handle: Handle, fh: int | None = None) -> int:
        """Take in an open file under a number, by default a new one; return the number."""
        if fh is None:
            fh, self._next = self._next, self._next + 1
        self._handles[fh] = handle
        return fh

    def keep(self, fh: int, handle: Handle, content: bytes) -> None:
        """Remember what was rendered, before any of it is answered."""
        self._remember(fh, handle, content)
        handle.rendered_for = 0
        flags = _HAS_CONTENT | (_PASSTHROUGH if handle.passthrough else 0) | (_UNSEEN if handle.problem else 0)
        poller = 0 if handle.trigger is None else handle.trigger.poller or 0
        text = handle.trigger_text
        head = _HEAD.pack(
            handle.node, handle.slot, self._kept.request(), handle.triggered_for, poller, flags, len(text)
        )  # fmt: skip
        self._kept.put(fh, head, text, content)

    def keep_trigger(self, fh: int, handle: Handle, text: bytes | None = None) -> None:
        """Remember a trigger that was made for this request (``text``), or who waits for it."""
        if text is not None:
            handle.trigger_text, handle.triggered_for = text, self._kept.request()
        flags = (_PASSTHROUGH if handle.passthrough else 0) | (_HAS_CONTENT if handle.content is not None else 0)
        poller = 0 if handle.trigger is None else handle.trigger.poller or 0
        text = handle.trigger_text
        head = _HEAD.pack(handle.node, handle.slot, 0, handle.triggered_for, poller, flags, len(text))
        self._kept.put(fh, head, text, handle.content or b"")

    def is_repeated(self, request: int) -> bool:
        """Tell whether the request that is being answered is this one, begun by another process."""
        return request != 0 and request == self._kept.request()

    def drop(self, fh: int) -> Handle | None:
        """Forget a closed file and return it; None for one that was not known."""
        handle = self._handles.pop(fh, None)
        if handle is not None:
            self.bytes -= self._lengths.pop(fh, 0)
            self._kept.drop(fh)
        return handle

    def restore(self, record: Record, handle: Handle) -> None:
        """Take in a file that another process had open."""
        handle.rendered_for = record.rendered_for
        handle.trigger_text, handle.triggered_for = record.trigger_text, record.triggered_for
        self.add(handle, record.fh)
        if record.content is not None:
            self._remember(record.fh, handle, record.content)

    def records(self) -> Iterator[Record]:
        """What another process had open."""
        for fh, data in self._kept.items():
            node, slot, rendered_for, triggered_for, poller, flags, length = _HEAD.unpack_from(data)
            text = data[_HEAD.size : _HEAD.size + length]
            content = data[_HEAD.size + length :] if flags & _HAS_CONTENT else None
            yield Record(fh, node, slot, rendered_for, triggered_for, poller, flags, text, content)

    def _remember(self, fh: int, handle: Handle, content: bytes) -> None:
        self.bytes += len(content) - self._lengths.pop(fh, 0)
        self._lengths[fh] = len(content)
        handle.content = content
        while self.bytes > MOST_KEPT_BYTES and len(self._lengths) > 1:
            oldest, length = self._lengths.popitem(last=False)
            self.bytes -= length
            self._handles[oldest].content = None
