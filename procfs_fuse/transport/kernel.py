"""One FUSE connection: reads requests from ``/dev/fuse``, has them handled, writes the answers.

Source: Documentation/filesystems/fuse/ and fs/fuse/dev.c in the kernel tree. A request is one read, an answer one
write, each with a fixed header in front. Both stand in one buffer that lives as long as the connection; given
shared memory, it is a journal of the request that is being answered.
"""

from __future__ import annotations

import errno
import logging
import os
import select
from collections import Counter
from typing import Final

from procfs_fuse.transport import FileSystem
from procfs_fuse.transport.negotiation import Negotiated
from procfs_fuse.transport.notification import Notifier
from procfs_fuse.transport.operations import BODY_BYTES, NO_ANSWER, Operations
from procfs_fuse.transport.problems import Problems
from procfs_fuse.transport.wire import IN_HEADER, MIN_READ_BUFFER, OUT_HEADER, Opcode

BUFFER_BYTES: Final = MIN_READ_BUFFER + OUT_HEADER.size + BODY_BYTES
"""Size of a connection's buffer: the request, behind it the answer."""

_ANSWER: Final = MIN_READ_BUFFER
_BODY: Final = _ANSWER + OUT_HEADER.size
_CLEARED: Final = bytes(4)
_MAX_ERRNO: Final = 511  # fuse_dev_do_write() refuses an answer with a larger one
_GONE: Final = frozenset({errno.ENODEV, errno.ECONNABORTED})
_READ_AGAIN: Final = frozenset({errno.EINTR, errno.ENOENT, errno.EIO})  # the kernel ended that request itself
_KNOWN: Final = frozenset(Opcode)
_OPCODES: Final = 64  # opcodes from here on (CUSE, Android) are counted together

_logger = logging.getLogger(__name__)


class Finished(Exception):
    """The connection is over: unmounted or aborted."""


class Connection:
    """A file system served on one ``/dev/fuse`` descriptor.

    ``negotiated`` is given when another process had initialised the descriptor before; otherwise the first request
    is INIT. ``buffer`` is writable memory of `BUFFER_BYTES`; while a request is under way its first four bytes are
    that request's length, else 0 (`recover`). The descriptor is made non-blocking and stays the caller's to close.
    """

    def __init__(
        self,
        fd: int,
        filesystem: FileSystem,
        negotiated: Negotiated | None = None,
        *,
        buffer: memoryview | None = None,
        problems: Problems | None = None,
    ) -> None:
        if buffer is None:
            buffer = memoryview(bytearray(BUFFER_BYTES))
        if buffer.nbytes < BUFFER_BYTES:
            raise ValueError(f"the buffer has {buffer.nbytes} bytes; {BUFFER_BYTES} are needed")
        os.set_blocking(fd, False)
        self.fd = fd
        self.problems = problems or Problems(_logger)
        self.notifier = Notifier(fd, self.problems)
        self.requests = [0] * _OPCODES
        """How many requests of each opcode have been read; unknown opcodes at 0."""
        self.last_kind = 0
        """Opcode of the last request, 0 if unknown."""
        self._buffer = buffer
        self._request = [buffer[:_ANSWER]]
        self._settle = filesystem.settle
        self._operations = Operations(filesystem, buffer[IN_HEADER.size : _ANSWER], buffer[_BODY:], negotiated)
        self._handlers = self._operations.handlers()

    @property
    def negotiated(self) -> Negotiated | None:
        """The outcome of INIT, None before."""
        return self._operations.negotiated

    @property
    def operations(self) -> dict[str, int]:
        """How many requests of each kind have been read, by the kernel's name in small letters; no zeros."""
        found: Counter[str] = Counter()
        for opcode, count in enumerate(self.requests):
            found[Opcode(opcode).name.lower() if opcode in _KNOWN else "other"] += count
        return dict(+found)

    def serve(self) -> bool:
        """Read and answer one request if there is one; False when there is none. Never waits.

        Raises `Finished` after unmount or abort, OSError when the descriptor is not a mounted ``/dev/fuse``.
        """
        try:
            size = os.readv(self.fd, self._request)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno in _GONE:
                raise Finished from error
            if error.errno in _READ_AGAIN:
                return True
            raise
        self.answer(size)
        return True

    def recover(self) -> bool:
        """Answer the request that a dead predecessor left in the buffer; False when it left none.

        If it had been answered after all, the kernel knows it no more and the second answer is dropped.
        """
        size: int = IN_HEADER.unpack_from(self._buffer)[0]
        if size:
            self.answer(size)
        return bool(size)

    def refuse(self, unique: int) -> None:
        """Answer EIO to a request that somebody else has read, by its number as it was read."""
        self._write(unique, -errno.EIO, 0)

    def answer(self, size: int) -> None:
        """Answer the request of ``size`` bytes at the start of the buffer, then mark the buffer as empty.

        Whatever the request or the file system do, the caller in the kernel gets an answer and nothing is raised.
        """
        length, opcode, unique, node, pid = IN_HEADER.unpack_from(self._buffer)
        self.last_kind = kind = opcode if opcode < _OPCODES else 0
        self.requests[kind] += 1
        try:
            handler = self._handlers.get(opcode) if length == size >= IN_HEADER.size else _reject
            result = handler(node, pid, size - IN_HEADER.size) if handler else -errno.ENOSYS
        except OSError as error:
            result = self._refusal(opcode, error)
        except Exception as error:  # noqa: BLE001 - one bad request must not end the service of all the others
            result = self._failure(opcode, error)
        if result >= 0:
            if not self._write(unique, 0, result) and opcode == Opcode.OPEN:
                self._operations.retract(node)
        elif result != NO_ANSWER:
            self._write(unique, result, 0)
        self._buffer[:4] = _CLEARED
        try:
            self._settle()
        except Exception as error:  # noqa: BLE001 - as above
            self.problems.report(f"settle: {type(error).__name__}", error)

    def wait_until_negotiated(self, timeout_seconds: float) -> Negotiated:
        """Serve until INIT is answered, for a caller that hands the descriptor on; TimeoutError if it never comes."""
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        while self.negotiated is None:
            if not poll.poll(timeout_seconds * 1000):
                raise TimeoutError(errno.ETIMEDOUT, "the kernel sent no FUSE_INIT")
            self.serve()
        return self.negotiated

    def _write(self, unique: int, error: int, length: int) -> bool:
        """Send an answer; its body of ``length`` bytes is in place. False when nobody has waited for it."""
        OUT_HEADER.pack_into(self._buffer, _ANSWER, OUT_HEADER.size + length, error, unique)
        try:
            os.write(self.fd, self._buffer[_ANSWER : _BODY + length])
        except OSError as failure:
            # ENOENT: the caller was killed meanwhile, or a predecessor had answered. An answer that the kernel does
            # not like ends the request with EIO. A vanished connection shows at the next read.
            if failure.errno != errno.ENOENT and failure.errno not in _GONE:
                self.problems.report(f"write: {errno.errorcode.get(failure.errno or 0, 'error')}", failure)
            return False
        return True

    def _refusal(self, opcode: int, error: OSError) -> int:
        """Return the answer for a file system's OSError. Numbers that the kernel would misread become EIO."""
        number = error.errno
        if number is None or not 0 < number <= _MAX_ERRNO or number == errno.ENOSYS:
            return self._failure(opcode, error)
        return -number

    def _failure(self, opcode: int, error: Exception) -> int:
        name = Opcode(opcode).name if opcode in self._handlers else "request"
        self.problems.report(f"{name}: {type(error).__name__}", error)
        return -errno.EIO


def _reject(_node: int, _pid: int, _length: int) -> int:
    """Stand in for the handler of a request that contradicts its own header."""
    raise ValueError("the length in the request's header is not that of the request")
