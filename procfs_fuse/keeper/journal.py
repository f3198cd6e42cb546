"""Memory that outlives the workers: the request that each is answering, and what was announced to the kernel.

One memfd, made by the keeper and mapped by every worker:

* a page with a charter (what is mounted, what was negotiated with the kernel) and, for each connection, the request
  that was last taken over and how many workers it has cost;
* for each slot and connection a buffer of `Connection`: the request under way, behind it the answer. A worker has
  one slot to itself;
* records of open files and of announced lengths (`filesystem.kept`).

The buffers are populated and locked before they are read into: a process that is killed while the kernel copies a
request into a page that is not there loses that request (fs/fuse/dev.c, fuse_copy_fill(): the fault fails, the caller
gets EIO).
"""

from __future__ import annotations

import ctypes
import errno
import json
import logging
import mmap
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from procfs_fuse.keeper.records import Records, Room
from procfs_fuse.transport.kernel import BUFFER_BYTES
from procfs_fuse.transport.wire import IN_HEADER, RESENT

CONNECTIONS: Final = ("open", "cached")
SLOTS: Final = 4
"""Workers that may hold a request: the one that serves, and dead ones that the kernel does not let go of."""

FORMAT: Final = 3
"""Number of this layout: another version of the program may take over only the same one."""

_NAME: Final = "procfs-fuse-journal"
_PAGE: Final = mmap.PAGESIZE
_CHARTER: Final = 1024  # where in the first page that begins
_BUFFER: Final = -(-BUFFER_BYTES // _PAGE) * _PAGE
_HANDLES: Final = (Room(4096, 512), Room(4096, 2048), Room(256, 1 << 16), Room(32, 1 << 20))
_LENGTHS: Final = (Room(4096, 640), Room(1024, 1024), Room(64, 1 << 15))  # /proc/meminfo is 590 bytes, packed
_REQUESTS: Final = _PAGE + SLOTS * len(CONNECTIONS) * _BUFFER
_LENGTH: Final = _REQUESTS + Records.length(_HANDLES) + Records.length(_LENGTHS)

log = logging.getLogger(__name__)


def create() -> int:
    """Make the memory; returns its descriptor, which belongs to the caller."""
    fd = os.memfd_create(_NAME, os.MFD_CLOEXEC)
    os.ftruncate(fd, _LENGTH)
    os.posix_fallocate(fd, 0, _REQUESTS)
    return fd


def check_that_of(pid: int, proc_root: str = "/proc") -> None:
    """Raise ValueError when a process holds one that is laid out differently, OSError when it cannot be looked at."""
    for entry in os.scandir(f"{proc_root}/{pid}/fd"):
        if os.readlink(entry.path).startswith(f"/memfd:{_NAME}"):
            fd = os.open(entry.path, os.O_RDWR | os.O_CLOEXEC)
            try:
                view = Journal(fd)
                view.charter()
                view.close()
            finally:
                os.close(fd)


class Journal:
    """The requests of all slots, as one process sees them."""

    def __init__(self, fd: int) -> None:
        """Map, populate and lock them."""
        self.fd = fd
        self._map = mmap.mmap(fd, _REQUESTS, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE)
        self._memory = memoryview(self._map)
        self._words = self._memory[:_CHARTER].cast("Q")
        self.lock()

    def lock(self) -> None:
        """Keep the pages where they are in this process; a child of it has to do that anew (mlock(2))."""
        _lock(self._memory)

    def charter(self) -> dict[str, Any]:
        """What was written with `set_charter`; raises ValueError for what another version of the program wrote."""
        charter = json.loads(bytes(self._memory[_CHARTER:_PAGE]).rstrip(b"\0") or b"{}")
        if charter.get("format") != FORMAT:
            raise ValueError("the journal is of another version of procfs-fuse")
        return dict(charter)

    def set_charter(self, charter: Mapping[str, object]) -> None:
        """Write down what the mounts are, for somebody who gets nothing but descriptors."""
        data = json.dumps({"format": FORMAT, **charter}).encode()
        self._memory[_CHARTER:_PAGE] = data.ljust(_PAGE - _CHARTER, b"\0")

    def busy_slot(self, slots: Iterable[int] = range(SLOTS)) -> int | None:
        """Which of these belonged to a worker that died with a request."""
        busy = (slot for slot in slots for name in CONNECTIONS if self.under_way(slot, name))
        return next(busy, None)

    def buffer(self, slot: int, name: str) -> memoryview:
        """The buffer of a connection."""
        start = _PAGE + (slot * len(CONNECTIONS) + CONNECTIONS.index(name)) * _BUFFER
        return self._memory[start : start + _BUFFER]

    def under_way(self, slot: int, name: str) -> int:
        """Number, as read, of the request that the slot's worker has not yet answered; 0 when there is none."""
        length, _opcode, unique, _node, _pid = IN_HEADER.unpack_from(self.buffer(slot, name))
        return int(unique) if length else 0

    def last(self, slot: int) -> tuple[int, ...]:
        """What changes with every request that the slot's worker reads or answers."""
        return tuple(
            value for name in CONNECTIONS for value in IN_HEADER.unpack_from(self.buffer(slot, name))[:3]
        )  # fmt: skip

    def clear(self, slot: int, name: str) -> None:
        """Mark a request as answered."""
        self.buffer(slot, name)[:4] = bytes(4)

    def charge(self, slot: int, name: str, deaths: int) -> int:
        """Add ``deaths`` to what the request under way has cost, and return the sum."""
        unique = self.under_way(slot, name) & ~RESENT
        number = 2 * CONNECTIONS.index(name)
        if self._words[number] != unique:
            self._words[number + 1] = 0
            self._words[number] = unique
        self._words[number + 1] += deaths
        return self._words[number + 1]

    def close(self) -> None:
        """Unmap; the descriptor stays open."""
        self._words.release()
        self._memory.release()
        self._map.close()


class Kept:
    """`filesystem.kept.Kept` in the journal's memory, for one worker."""

    def __init__(self, journal: Journal, slot: int, name: str) -> None:
        rooms, offset = (
            (_HANDLES, _REQUESTS) if name == "open" else (_LENGTHS, _REQUESTS + Records.length(_HANDLES))
        )  # fmt: skip
        self._numbers = journal.buffer(slot, name)[:16].cast("Q")  # the second is the request's (fuse_in_header)
        self.records = Records(journal.fd, offset, rooms)
        self.put = self.records.put
        self.drop = self.records.drop

    def request(self) -> int:
        """See `filesystem.kept.Kept`."""
        return self._numbers[1] & ~RESENT

    def items(self) -> Iterator[tuple[int, bytes]]:
        """See `filesystem.kept.Kept`."""
        return self.records.items()


def _lock(memory: memoryview) -> None:
    """Keep pages in memory; without the right to it they are still there until memory becomes scarce."""
    libc = ctypes.CDLL(None, use_errno=True)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    if libc.mlock(ctypes.c_void_p(address), ctypes.c_size_t(memory.nbytes)):
        number = ctypes.get_errno()
        log.warning("cannot lock the journal in memory: %s", os.strerror(number) or errno.errorcode.get(number))
