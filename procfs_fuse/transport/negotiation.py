"""INIT: what kernel and server agree on, once for the life of a mount.

The answer is kept as `Negotiated`, because a later process that takes over the descriptor gets no INIT of its own.
"""

from __future__ import annotations

import errno
import mmap
from dataclasses import astuple, dataclass
from struct import Struct
from typing import Final

from procfs_fuse.transport.wire import INIT_IN, INIT_IN_FLAGS2, INIT_OUT, MAJOR, MINOR, OLDEST_MINOR, InitFlag

MAX_READ: Final = 128 * 1024
"""Largest READ in bytes; given as mount option too, because a page size of 64 KiB would allow more otherwise."""

MAX_WRITE: Final = 4096
"""Largest WRITE in bytes, the smallest that the kernel accepts; a request then fits MIN_READ_BUFFER."""

MAX_BACKGROUND: Final = 512
"""Requests nobody waits for (RELEASE) that may be under way; with the default of 12 closing blocks hot readers."""

# ASYNC_READ is left out on purpose: a cached file is one page or two, read in the reader's own context.
_COMMON: Final = InitFlag.PARALLEL_DIROPS | InitFlag.MAX_PAGES | InitFlag.INIT_EXT | InitFlag.HAS_RESEND
_CACHED: Final = _COMMON | InitFlag.AUTO_INVAL_DATA | InitFlag.NO_OPEN_SUPPORT | InitFlag.NO_OPENDIR_SUPPORT
# ATOMIC_O_TRUNC: `echo … > file` opens with O_TRUNC, which would arrive as a SETATTR that can only be refused.
# Not on the cached connection: there the kernel would set the size to 0 without asking.
_OPEN: Final = _COMMON | InitFlag.ATOMIC_O_TRUNC

_PACKED: Final = Struct("=IIQQIHHIIH")


@dataclass(frozen=True, slots=True)
class Negotiated:
    """The outcome of INIT. ``offered`` and ``granted`` are `InitFlag` bits of the kernel and those of both sides."""

    major: int
    minor: int
    offered: int
    granted: int
    max_readahead: int
    max_background: int
    congestion_threshold: int
    max_write: int
    time_gran: int
    max_pages: int

    @property
    def has_resend(self) -> bool:
        """Whether FUSE_NOTIFY_RESEND is understood (since Linux 6.9, "fuse: Introduce a new notification type")."""
        return bool(self.granted & InitFlag.HAS_RESEND)

    @property
    def without_open(self) -> bool:
        """Whether OPEN may be answered ENOSYS."""
        return bool(self.granted & InitFlag.NO_OPEN_SUPPORT)

    @property
    def without_opendir(self) -> bool:
        """Whether OPENDIR may be answered ENOSYS."""
        return bool(self.granted & InitFlag.NO_OPENDIR_SUPPORT)

    def pack(self) -> bytes:
        """Fixed-size form for handing over to another process on the same machine."""
        return _PACKED.pack(*astuple(self))

    @classmethod
    def unpack(cls, packed: bytes) -> Negotiated:
        """Inverse of `pack`."""
        return cls(*_PACKED.unpack(packed))

    def init_out(self) -> bytes:
        """Return the body of the INIT answer (fuse_init_out)."""
        flags, flags2 = self.granted & 0xFFFF_FFFF, self.granted >> 32
        return INIT_OUT.pack(
            self.major, self.minor, self.max_readahead, flags, self.max_background, self.congestion_threshold,
            self.max_write, self.time_gran, self.max_pages, 0, flags2,
        )  # fmt: skip


def negotiate(body: bytes, *, cached: bool) -> Negotiated:
    """Choose features from an INIT request; OSError(EPROTO) for a protocol that is too old."""
    major, minor, max_readahead, offered = INIT_IN.unpack_from(body)
    if offered & InitFlag.INIT_EXT and len(body) >= INIT_IN.size + INIT_IN_FLAGS2.size:
        (flags2,) = INIT_IN_FLAGS2.unpack_from(body, INIT_IN.size)
        offered |= flags2 << 32
    if (major, minor) < (MAJOR, OLDEST_MINOR):
        raise OSError(errno.EPROTO, f"the kernel speaks FUSE {major}.{minor}; {MAJOR}.{OLDEST_MINOR} is needed")
    return Negotiated(
        major=MAJOR,
        minor=min(minor, MINOR) if major == MAJOR else MINOR,
        offered=offered,
        granted=int(offered & (_CACHED if cached else _OPEN)),
        max_readahead=min(max_readahead, MAX_READ),
        max_background=MAX_BACKGROUND,
        congestion_threshold=MAX_BACKGROUND * 3 // 4,
        max_write=MAX_WRITE,
        time_gran=1,
        max_pages=max(1, MAX_READ // mmap.PAGESIZE),
    )
