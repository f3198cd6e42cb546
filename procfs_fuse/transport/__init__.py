"""What a file system and a transport agree on.

A *transport* carries requests from the kernel to a `FileSystem` and its answers back. `kernel` speaks the FUSE
protocol on ``/dev/fuse`` itself; another one may go through libfuse. Neither knows what is in the files, and the
file system knows neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, runtime_checkable

ROOT_NODE: Final = 1
"""Node id of the root directory (FUSE_ROOT_ID)."""

FIRST_FREE_NODE: Final = 3
"""Smallest node id of anything but the root: 1 and 2 are the directory cookies of ``.`` and ``..``."""


@dataclass(slots=True)
class Attr:
    """Attributes of one node, and for how long the kernel may trust them.

    ``mode`` is a whole ``st_mode``, type bits included. Change ``mtime_ns`` whenever content does, directories
    included: on a cached connection the kernel keeps file pages and directory listings until it sees a new time.
    """

    ino: int
    mode: int
    size: int
    mtime_ns: int
    attr_valid_ns: int
    entry_valid_ns: int
    nlink: int = 1
    uid: int = 0
    gid: int = 0
    blksize: int = 65536


class Entry(NamedTuple):
    """One directory entry; ``kind`` is a ``DT_*`` number, the type bits of ``st_mode`` shifted right by 12."""

    name: bytes
    ino: int
    kind: int


class FileSystem(Protocol):
    """The tree that a transport serves.

    A node is named by its inode number, which is also its FUSE node id: never used again for something else, at
    least `FIRST_FREE_NODE` and below 2**63. Errors are plain ``OSError(errno)``; ENOSYS is not for file systems
    (the kernel remembers it for the whole mount) and becomes EIO. Anything else raised is logged and becomes EIO.
    ``pid`` is the calling thread's id in our pid namespace, 0 when it cannot be seen from there.

    Forgotten nodes are not reported: the kernel may come back to any node id for as long as the mount lives.
    """

    cached: bool
    """True: the kernel caches pages and does not tell of opens (``fh`` is 0, `open` and `release` are never called).
    False: every open and every read arrives."""

    def lookup(self, parent: int, name: bytes, pid: int) -> Attr:
        """Return the attributes of the child ``name``; ENOENT when there is none."""
        ...

    def getattr(self, node: int, pid: int, fh: int | None = None) -> Attr:
        """Return the attributes of a node; ``fh``: asked for through this open file."""
        ...

    def readlink(self, node: int) -> bytes:
        """Return the target of a symbolic link."""
        ...

    def readdir(self, node: int, pid: int) -> Sequence[Entry]:
        """Return all entries sorted by ino, without ``.`` and ``..``; a listing resumes behind the last ino it gave."""
        ...

    def open(self, node: int, flags: int, pid: int) -> int:
        """Open a file and return a handle, which comes back in `read` and `release`."""
        ...

    def read(self, node: int, fh: int, offset: int, size: int, pid: int) -> bytes:
        """Return up to ``size`` bytes at ``offset``; less means end of file."""
        ...

    def release(self, node: int, fh: int) -> None:
        """Drop a handle: its last descriptor is closed."""
        ...

    def settle(self) -> None:
        """Called after each answer was given: the moment for work that the answer did not need."""
        ...


@runtime_checkable
class Triggering(Protocol):
    """What a `FileSystem` offers beside if some of its files can be written to and polled."""

    def write(self, node: int, fh: int, data: bytes, pid: int) -> int:
        """Take what was written; return how many bytes of it."""
        ...

    def poll(self, node: int, fh: int, poller: int | None, pid: int) -> int:
        """Return what is ready (``POLLIN``, …); ``poller``, if not None, is to be woken when that changes."""
        ...
