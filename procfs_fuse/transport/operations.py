"""What each FUSE request means: arguments from the request, a call of the file system, the body of the answer.

Source: fs/fuse/{dir,file,readdir,inode}.c in the kernel tree. ENOSYS is special in this protocol: for most operations
the kernel takes it as "never ask again, for the whole mount". It is therefore given on purpose or not at all.
"""

from __future__ import annotations

import errno
import select
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from operator import attrgetter
from sys import byteorder
from typing import Final

from procfs_fuse.transport import Attr, FileSystem, Triggering
from procfs_fuse.transport.negotiation import MAX_READ, Negotiated, negotiate
from procfs_fuse.transport.wire import (
    ATTR_OUT,
    DIRENT,
    ENTRY_OUT,
    GETATTR_FH,
    GETATTR_IN,
    INIT_OUT,
    MAJOR,
    OPEN_IN,
    OPEN_OUT,
    POLL_IN,
    POLL_OUT,
    POLL_SCHEDULE_NOTIFY,
    READ_IN,
    READ_LOCKOWNER,
    RELEASE_IN,
    STATFS_OUT,
    WRITE_IN,
    WRITE_OUT,
    Opcode,
    OpenFlag,
)

Handler = Callable[[int, int, int], int]
"""(node, pid, bytes of arguments) -> length of the body left for the answer, a negative errno, or `NO_ANSWER`."""

NO_ANSWER: Final = -(1 << 16)
"""Result of a handler whose request must not be answered."""

BODY_BYTES: Final = MAX_READ
"""Room that the longest answer needs."""

_NS: Final = 1_000_000_000
_DT_DIR: Final = 4
_UNKNOWN_INO: Final = 0xFFFF_FFFF  # what libfuse says for "..", too
_BLOCK_BYTES: Final = 4096
_STAT_BLOCK_BYTES: Final = 512
_NAME_MAX: Final = 255
_DIRECT_IO: Final = int(OpenFlag.DIRECT_IO)  # enum members are slower to pack
_KEEP_CACHE: Final = int(OpenFlag.KEEP_CACHE)
# What the kernel says for procfs files without a poll method (DEFAULT_POLLMASK).
_ALWAYS_READY: Final = select.POLLIN | select.POLLOUT | select.POLLRDNORM | select.POLLWRNORM

_UNANSWERED: Final = (
    Opcode.FORGET,
    Opcode.BATCH_FORGET,
    Opcode.NOTIFY_REPLY,
    Opcode.INTERRUPT,  # may be ignored (fuse.rst), and with one thread the original has been answered already
)
_READ_ONLY: Final = (
    Opcode.SETATTR,
    Opcode.SYMLINK,
    Opcode.MKNOD,
    Opcode.MKDIR,
    Opcode.UNLINK,
    Opcode.RMDIR,
    Opcode.RENAME,
    Opcode.RENAME2,
    Opcode.LINK,
    Opcode.CREATE,
    Opcode.FALLOCATE,
)
_entry_ino = attrgetter("ino")


class Operations:
    """Handlers over one file system and two pieces of memory: a request's arguments and an answer's body.

    ``negotiated`` is None until INIT has been answered. Handlers raise what the file system raises.
    """

    def __init__(
        self, filesystem: FileSystem, arguments: memoryview, body: memoryview, negotiated: Negotiated | None
    ) -> None:
        self.negotiated = negotiated
        self._filesystem = filesystem
        self._triggering = filesystem if isinstance(filesystem, Triggering) else None
        self._arguments = arguments
        self._body = body

    def handlers(self) -> Mapping[int, Handler]:
        """Return the dispatch table.

        An opcode that is not in it gets ENOSYS: FLUSH, FSYNC, LSEEK, ACCESS and the extended attributes, which the
        kernel then deals with alone, and whatever later kernels invent.
        """
        return {
            **{opcode: _constant(NO_ANSWER) for opcode in _UNANSWERED},
            **{opcode: _constant(-errno.EROFS) for opcode in _READ_ONLY},
            Opcode.INIT: self._init,
            Opcode.LOOKUP: self._lookup,
            Opcode.GETATTR: self._getattr,
            Opcode.READLINK: self._readlink,
            Opcode.OPEN: self._open,
            Opcode.READ: self._read,
            Opcode.WRITE: self._write,
            Opcode.RELEASE: self._release,
            Opcode.OPENDIR: self._opendir,
            Opcode.READDIR: self._readdir,
            Opcode.RELEASEDIR: _constant(0),
            Opcode.STATFS: self._statfs,
            Opcode.IOCTL: _constant(-errno.ENOTTY),
            Opcode.POLL: self._poll,
            Opcode.DESTROY: _constant(0),
        }

    def _init(self, _node: int, _pid: int, length: int) -> int:
        request = bytes(self._arguments[:length])
        if int.from_bytes(request[:4], byteorder) > MAJOR:
            # The kernel speaks something newer: it wants to hear our version and then sends another INIT.
            return self._put(INIT_OUT.pack(MAJOR, *[0] * 10))
        self.negotiated = negotiate(request, cached=self._filesystem.cached)
        return self._put(self.negotiated.init_out())

    def _lookup(self, parent: int, pid: int, length: int) -> int:
        name = bytes(self._arguments[: length - 1])  # a NUL ends it
        attr = self._filesystem.lookup(parent, name, pid)
        entry_seconds, entry_ns = divmod(attr.entry_valid_ns, _NS)
        valid_seconds, valid_ns = divmod(attr.attr_valid_ns, _NS)
        ENTRY_OUT.pack_into(
            self._body, 0, attr.ino, 0, entry_seconds, valid_seconds, entry_ns, valid_ns, *_attr_fields(attr)
        )
        return ENTRY_OUT.size

    def _getattr(self, node: int, pid: int, _length: int) -> int:
        flags, fh = GETATTR_IN.unpack_from(self._arguments)
        attr = self._filesystem.getattr(node, pid, fh if flags & GETATTR_FH else None)
        valid_seconds, valid_ns = divmod(attr.attr_valid_ns, _NS)
        ATTR_OUT.pack_into(self._body, 0, valid_seconds, valid_ns, *_attr_fields(attr))
        return ATTR_OUT.size

    def _readlink(self, node: int, _pid: int, _length: int) -> int:
        return self._put(self._filesystem.readlink(node))

    def _open(self, node: int, pid: int, _length: int) -> int:
        if self._filesystem.cached:
            if self.negotiated is not None and self.negotiated.without_open:
                return -errno.ENOSYS
            OPEN_OUT.pack_into(self._body, 0, 0, _KEEP_CACHE)
        else:
            (flags,) = OPEN_IN.unpack_from(self._arguments)
            OPEN_OUT.pack_into(self._body, 0, self._filesystem.open(node, flags, pid), _DIRECT_IO)
        return OPEN_OUT.size

    def retract(self, node: int) -> None:
        """Take back the OPEN that was answered last: nobody took the handle, so nobody will release it."""
        if not self._filesystem.cached:
            fh, _flags = OPEN_OUT.unpack_from(self._body)
            self._filesystem.release(node, fh)

    def _read(self, node: int, pid: int, _length: int) -> int:
        fh, offset, size, flags = READ_IN.unpack_from(self._arguments)
        if not flags & READ_LOCKOWNER and not self._filesystem.cached:
            # sendfile or splice, for which the kernel wants to fill the page cache: it would mix up what different
            # readers are told. They are to read instead, as with many of the kernel's own virtual files.
            return -errno.EINVAL
        data = self._filesystem.read(node, fh, offset, size, pid)
        length = len(data)
        if length > size or length > BODY_BYTES:
            length = min(size, BODY_BYTES)
            data = data[:length]
        self._body[:length] = data
        return length

    def _write(self, node: int, pid: int, length: int) -> int:
        if self._triggering is None:
            return -errno.EROFS
        fh, _offset, size = WRITE_IN.unpack_from(self._arguments)
        data = bytes(self._arguments[WRITE_IN.size : min(WRITE_IN.size + size, length)])
        WRITE_OUT.pack_into(self._body, 0, self._triggering.write(node, fh, data, pid))
        return WRITE_OUT.size

    def _release(self, node: int, _pid: int, _length: int) -> int:
        if not self._filesystem.cached:
            (fh,) = RELEASE_IN.unpack_from(self._arguments)
            self._filesystem.release(node, fh)
        return 0

    def _opendir(self, _node: int, _pid: int, _length: int) -> int:
        if self._filesystem.cached and self.negotiated is not None and self.negotiated.without_opendir:
            return -errno.ENOSYS
        OPEN_OUT.pack_into(self._body, 0, 0, 0)
        return OPEN_OUT.size

    def _readdir(self, node: int, pid: int, _length: int) -> int:
        _fh, cookie, size, _flags = READ_IN.unpack_from(self._arguments)
        room = min(size, BODY_BYTES)
        end = 0
        for name, ino, kind, next_cookie in self._entries_behind(node, cookie, pid):
            name_end = end + DIRENT.size + len(name)
            padded_end = (name_end + 7) & ~7
            if padded_end > room:
                break
            DIRENT.pack_into(self._body, end, ino, next_cookie, len(name), kind)
            self._body[end + DIRENT.size : padded_end] = name + bytes(padded_end - name_end)
            end = padded_end
        return end

    def _entries_behind(self, node: int, cookie: int, pid: int) -> Iterator[tuple[bytes, int, int, int]]:
        """Yield (name, ino, kind, cookie) of the entries behind ``cookie``; the cookie of an entry is its ino."""
        for name, ino, dot_cookie in ((b".", node, 1), (b"..", _UNKNOWN_INO, 2)):
            if cookie < dot_cookie:
                yield name, ino, _DT_DIR, dot_cookie
        entries = self._filesystem.readdir(node, pid)
        for index in range(bisect_right(entries, cookie, key=_entry_ino), len(entries)):
            name, ino, kind = entries[index]
            yield name, ino, kind, ino

    def _statfs(self, _node: int, _pid: int, _length: int) -> int:
        STATFS_OUT.pack_into(self._body, 0, 0, 0, 0, 0, 0, _BLOCK_BYTES, _NAME_MAX, _BLOCK_BYTES)
        return STATFS_OUT.size

    def _poll(self, node: int, pid: int, _length: int) -> int:
        """Answer "always ready" where nothing ever changes. ENOSYS would end polling for the whole mount."""
        ready = _ALWAYS_READY
        if self._triggering is not None:
            fh, poller, flags = POLL_IN.unpack_from(self._arguments)
            ready = self._triggering.poll(node, fh, poller if flags & POLL_SCHEDULE_NOTIFY else None, pid)
        POLL_OUT.pack_into(self._body, 0, ready)
        return POLL_OUT.size

    def _put(self, data: bytes) -> int:
        self._body[: len(data)] = data
        return len(data)


def _constant(result: int) -> Handler:
    return lambda _node, _pid, _length: result


def _attr_fields(attr: Attr) -> tuple[int, ...]:
    """List fuse_attr in the order of the struct; one time for all three, like procfs.

    As many blocks as the size needs: `cp` would look for holes otherwise, and fill up to the size with NUL bytes.
    """
    seconds, ns = divmod(attr.mtime_ns, _NS)
    return (
        attr.ino, attr.size, -(-attr.size // _STAT_BLOCK_BYTES), seconds, seconds, seconds, ns, ns, ns,
        attr.mode, attr.nlink, attr.uid, attr.gid, 0, attr.blksize, 0,
    )  # fmt: skip
