"""The FUSE kernel protocol as numbers and structs: opcodes, flags, layouts. No behaviour.

Source: include/uapi/linux/fuse.h, protocol 7.40. The protocol is in native byte order and every struct is padded
to 64 bits by hand, hence ``=`` (native order, no alignment). Requests name only the fields that are used; the rest
is skipped with ``x``. The tests compare every size and offset with the C header.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from struct import Struct
from typing import Final

MAJOR: Final = 7
MINOR: Final = 40
"""Newest protocol minor whose changes were checked against this module."""

OLDEST_MINOR: Final = 23
"""Before 7.23 (Linux 3.15) INIT answers had another size and opens could not be refused with ENOSYS."""

MIN_READ_BUFFER: Final = 8192
"""FUSE_MIN_READ_BUFFER: the kernel refuses reads into less."""


class Opcode(IntEnum):
    """enum fuse_opcode, as far as answers differ from "unknown"."""

    LOOKUP = 1
    FORGET = 2
    GETATTR = 3
    SETATTR = 4
    READLINK = 5
    SYMLINK = 6
    MKNOD = 8
    MKDIR = 9
    UNLINK = 10
    RMDIR = 11
    RENAME = 12
    LINK = 13
    OPEN = 14
    READ = 15
    WRITE = 16
    STATFS = 17
    RELEASE = 18
    FSYNC = 20
    SETXATTR = 21
    GETXATTR = 22
    LISTXATTR = 23
    REMOVEXATTR = 24
    FLUSH = 25
    INIT = 26
    OPENDIR = 27
    READDIR = 28
    RELEASEDIR = 29
    FSYNCDIR = 30
    ACCESS = 34
    CREATE = 35
    INTERRUPT = 36
    DESTROY = 38
    IOCTL = 39
    POLL = 40
    NOTIFY_REPLY = 41
    BATCH_FORGET = 42
    FALLOCATE = 43
    RENAME2 = 45
    LSEEK = 46


class InitFlag(IntFlag):
    """INIT features that are asked for; bits 32 and up travel in ``flags2``."""

    ATOMIC_O_TRUNC = 1 << 3
    AUTO_INVAL_DATA = 1 << 12
    NO_OPEN_SUPPORT = 1 << 17
    PARALLEL_DIROPS = 1 << 18
    MAX_PAGES = 1 << 22
    NO_OPENDIR_SUPPORT = 1 << 24
    INIT_EXT = 1 << 30
    HAS_RESEND = 1 << 39


class OpenFlag(IntFlag):
    """FOPEN_*: what the kernel does with an opened file."""

    DIRECT_IO = 1 << 0
    KEEP_CACHE = 1 << 1


class Notify(IntEnum):
    """enum fuse_notify_code: messages that no request asked for."""

    POLL = 1
    INVAL_INODE = 2
    INVAL_ENTRY = 3
    RESEND = 7


IN_HEADER: Final = Struct("=IIQQ8xI4x")
"""fuse_in_header: len, opcode, unique, nodeid, (uid, gid), pid, (extension length)."""

RESENT: Final = 1 << 63
"""FUSE_UNIQUE_RESEND: set in the number of a request that is delivered once more (`Notify.RESEND`)."""

OUT_HEADER: Final = Struct("=IiQ")
"""fuse_out_header: len, error (negative errno), unique."""

ENTRY_OUT: Final = Struct("=QQQQIIQQQQQQIIIIIIIIII")
"""fuse_entry_out: nodeid, generation, entry_valid, attr_valid, entry_valid_nsec, attr_valid_nsec, then fuse_attr:
ino, size, blocks, atime, mtime, ctime, atimensec, mtimensec, ctimensec, mode, nlink, uid, gid, rdev, blksize, flags."""

ATTR_OUT: Final = Struct("=QI4xQQQQQQIIIIIIIIII")
"""fuse_attr_out: attr_valid, attr_valid_nsec, (dummy), then fuse_attr as in `ENTRY_OUT`."""

OPEN_IN: Final = Struct("=I4x")
"""fuse_open_in: flags, (open_flags)."""

OPEN_OUT: Final = Struct("=QI4x")
"""fuse_open_out: fh, open_flags, (padding)."""

GETATTR_IN: Final = Struct("=I4xQ")
"""fuse_getattr_in: getattr_flags, (dummy), fh."""

GETATTR_FH: Final = 1
"""FUSE_GETATTR_FH: fh is that of an open file."""

READ_IN: Final = Struct("=QQII16x")
"""fuse_read_in: fh, offset, size, read_flags, (lock_owner, flags, padding)."""

READ_LOCKOWNER: Final = 2
"""FUSE_READ_LOCKOWNER: lock_owner is set, that is, a process reads and not the page cache."""

WRITE_IN: Final = Struct("=QQI20x")
"""fuse_write_in: fh, offset, size, (write_flags, lock_owner, flags, padding); the data follows."""

WRITE_OUT: Final = Struct("=I4x")
"""fuse_write_out: size, (padding)."""

POLL_IN: Final = Struct("=QQI4x")
"""fuse_poll_in: fh, kh, flags, (events)."""

POLL_SCHEDULE_NOTIFY: Final = 1
"""FUSE_POLL_SCHEDULE_NOTIFY: somebody waits and is to be woken with `Notify.POLL` and kh."""

NOTIFY_POLL_OUT: Final = Struct("=Q")
"""fuse_notify_poll_wakeup_out: kh."""

RELEASE_IN: Final = Struct("=Q16x")
"""fuse_release_in: fh, (flags, release_flags, lock_owner)."""

DIRENT: Final = Struct("=QQII")
"""fuse_dirent without the name: ino, off (cookie of what follows), namelen, type."""

STATFS_OUT: Final = Struct("=QQQQQIII4x24x")
"""fuse_statfs_out: blocks, bfree, bavail, files, ffree, bsize, namelen, frsize, (padding, spare)."""

POLL_OUT: Final = Struct("=I4x")
"""fuse_poll_out: revents, (padding)."""

INIT_IN: Final = Struct("=IIII")
"""fuse_init_in before 7.36: major, minor, max_readahead, flags."""

INIT_IN_FLAGS2: Final = Struct("=I44x")
"""The rest of fuse_init_in, sent when INIT_EXT is among the flags: flags2, (unused)."""

INIT_OUT: Final = Struct("=IIIIHHIIHHI28x")
"""fuse_init_out: major, minor, max_readahead, flags, max_background, congestion_threshold, max_write, time_gran,
max_pages, map_alignment, flags2, (unused)."""

INVAL_INODE_OUT: Final = Struct("=Qqq")
"""fuse_notify_inval_inode_out: ino, off, len."""

INVAL_ENTRY_OUT: Final = Struct("=QI4x")
"""fuse_notify_inval_entry_out: parent, namelen, (flags)."""
