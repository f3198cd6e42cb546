"""What a worker is doing, in memory that outlives it.

A slot belongs to one worker at a time. The kernel writes a notification right into it, so there is no moment at which
one has been received and is not written down. Memory is shared between the holder and the workers that it forks.
"""

from __future__ import annotations

import ctypes
import mmap
import struct
from typing import Final

from procfs_fuse.seccomp.notify import NOTIFICATION, Notification

SLOTS: Final = 16
"""As many workers can hang at the same time; then there is no further one."""

ANSWERED: Final = 16
CONTINUED: Final = 24
"""Counters of a slot, by offset: calls answered by us, and left to the kernel."""

_SLOT_BYTES: Final = 256
_LISTENER: Final = 0
_WRITING: Final = 8
_NOTIFICATION: Final = 64
_NUMBER: Final = struct.Struct("=Q")
_NOTHING: Final = bytes(_SLOT_BYTES - _NOTIFICATION)  # more than this kernel's record has: a newer one's may be longer


class Slot:
    """One worker's part."""

    def __init__(self, memory: mmap.mmap, index: int) -> None:
        self.index = index
        self._memory = memory
        self._start = index * _SLOT_BYTES
        self._id_at = self._start + _NOTIFICATION
        self._anchor = ctypes.c_char.from_buffer(memory, self._id_at)  # keeps the mapping
        self.address = ctypes.addressof(self._anchor)
        """Where the kernel is to put a notification."""

    def begin(self, listener: int) -> None:
        """A notification of this listener (its number) may come in any moment now."""
        self._memory[self._id_at : self._start + _SLOT_BYTES] = _NOTHING
        self._put(_WRITING, 0)
        self._put(_LISTENER, listener)

    def put(self, record: bytes) -> None:
        """Write down a notification that came another way."""
        self._memory[self._id_at : self._id_at + len(record)] = record

    def writing(self) -> None:
        """From here until `clear` a container's memory may let us wait."""
        self._put(_WRITING, 1)

    def clear(self) -> None:
        """The notification has been dealt with."""
        self._memory[self._id_at : self._id_at + _NUMBER.size] = bytes(_NUMBER.size)

    def count(self, counter: int) -> None:
        """Add one to `ANSWERED` or `CONTINUED`."""
        self._put(counter, self.get(counter) + 1)

    def get(self, counter: int) -> int:
        """A counter's value."""
        (value,) = _NUMBER.unpack_from(self._memory, self._start + counter)
        return int(value)

    @property
    def notification(self) -> Notification | None:
        """The one that is being dealt with."""
        data = self._memory[self._id_at : self._id_at + NOTIFICATION.size]
        return Notification.parse(data) if any(data[: _NUMBER.size]) else None

    @property
    def listener(self) -> int:
        """Number of the listener that it came from."""
        return self.get(_LISTENER)

    @property
    def is_writing(self) -> bool:
        """Whether a container's memory was being written."""
        return bool(self.get(_WRITING))

    def progress(self) -> tuple[int, ...]:
        """Something that is different as soon as the worker gets on."""
        current = self.notification
        return self.listener, current.id if current else 0, self.get(ANSWERED), self.get(CONTINUED)

    def _put(self, offset: int, value: int) -> None:
        _NUMBER.pack_into(self._memory, self._start + offset, value)


class Journal:
    """All slots."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, SLOTS * _SLOT_BYTES, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
        self.slots = [Slot(self._memory, index) for index in range(SLOTS)]

    def total(self, counter: int) -> int:
        """Sum of a counter over all workers that there ever were."""
        return sum(slot.get(counter) for slot in self.slots)
