"""Directories that come and go, files that change: inotify(7), straight through the C library.

Names made or removed in watched directories: cgroupfs reports both, v1 and v2 (fs/kernfs/dir.c goes through vfs_mkdir
and vfs_rmdir, which notify). Files that the kernel itself says have changed: ``*.events`` of v2 (kernfs_notify).
"""

from __future__ import annotations

import ctypes
import os
import select
import struct
from collections.abc import Iterator
from typing import Final

from cgroup_model.descriptor import Descriptor
from cgroup_model.record import dataclass

# include/uapi/linux/inotify.h
_IN_MODIFY: Final = 0x00000002
_IN_CREATE: Final = 0x00000100
_IN_DELETE: Final = 0x00000200
_IN_Q_OVERFLOW: Final = 0x00004000
_IN_IGNORED: Final = 0x00008000
_IN_ONLYDIR: Final = 0x01000000
_IN_DONT_FOLLOW: Final = 0x02000000
_IN_ISDIR: Final = 0x40000000

_HEADER: Final = struct.Struct("iIII")  # wd, mask, cookie, length of the padded name
_BUFFER_BYTES: Final = 65536


@dataclass(frozen=True, slots=True)
class Event:
    """One change below a watched directory, or of a watched file (then without a name)."""

    watch: int  # descriptor that `Inotify.add` returned; -1 on overflow
    name: str  # of the directory that was made or removed; empty for `ignored` and `overflow`
    created: bool = False
    deleted: bool = False
    modified: bool = False  # the watched file itself, or a file in the watched directory
    ignored: bool = False  # the watched directory itself is gone, and the watch with it
    overflow: bool = False  # the kernel dropped events: look at everything again


class Inotify(Descriptor):
    """An inotify instance in non-blocking mode. Raises OSError where the kernel refuses one (max_user_instances)."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        super().__init__(self._checked(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)))
        self._waiting = select.poll()
        self._waiting.register(self._fd, select.POLLIN)

    def add(self, directory: str) -> int:
        """Watch a directory; the same one gives the same number.

        Raises OSError: ENOENT, ENOTDIR, ENOSPC (max_user_watches).
        """
        mask = _IN_CREATE | _IN_DELETE | _IN_ONLYDIR | _IN_DONT_FOLLOW
        return self._checked(self._libc.inotify_add_watch(self._fd, os.fsencode(directory), mask))

    def add_file(self, path: str) -> int:
        """Watch the content of a file; errors as `add`."""
        return self._checked(self._libc.inotify_add_watch(self._fd, os.fsencode(path), _IN_MODIFY | _IN_DONT_FOLLOW))

    def add_writes(self, directory: str) -> int:
        """Watch what is written to the files of a directory, by anybody; errors as `add`."""
        mask = _IN_MODIFY | _IN_ONLYDIR | _IN_DONT_FOLLOW
        return self._checked(self._libc.inotify_add_watch(self._fd, os.fsencode(directory), mask))

    def remove(self, watch: int) -> None:
        """Stop watching; a watch that is gone already is no error. The kernel confirms with an ``ignored`` event."""
        self._libc.inotify_rm_watch(self._fd, watch)

    def is_waiting(self) -> bool:
        """Tell whether there are events; `read` takes three times as long to find none. By one thread at once."""
        return bool(self._waiting.poll(0))

    def read(self) -> Iterator[Event]:
        """Yield the events that are waiting; never blocks."""
        while True:
            try:
                raw = os.read(self._fd, _BUFFER_BYTES)
            except BlockingIOError:
                return
            yield from _events(raw)

    @staticmethod
    def _checked(result: int) -> int:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return result


def _events(raw: bytes) -> Iterator[Event]:
    offset = 0
    while offset < len(raw):
        watch, mask, _cookie, length = _HEADER.unpack_from(raw, offset)
        offset += _HEADER.size
        name = os.fsdecode(raw[offset : offset + length].rstrip(b"\0"))
        offset += length
        if mask & _IN_Q_OVERFLOW:
            yield Event(watch, "", overflow=True)
        elif mask & _IN_IGNORED:
            yield Event(watch, "", ignored=True)
        elif mask & _IN_ISDIR:
            yield Event(watch, name, created=bool(mask & _IN_CREATE), deleted=bool(mask & _IN_DELETE))
        elif mask & _IN_MODIFY:
            yield Event(watch, name, modified=True)
