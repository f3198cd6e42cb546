"""Messages to the kernel that no request asked for: forget what you cached, send again what was lost.

They go out from a thread of their own. Dropping an inode's pages or a name takes locks that a reader may hold
while *it* waits for an answer from us, so that a notification written by the serving thread can wait for ever
(fs/fuse/dir.c, fuse_reverse_inval_entry(); fs/fuse/inode.c, fuse_reverse_inval_inode()).
"""

from __future__ import annotations

import errno
import os
import threading
from queue import SimpleQueue
from typing import Final

from procfs_fuse.transport.problems import Problems
from procfs_fuse.transport.wire import INVAL_ENTRY_OUT, INVAL_INODE_OUT, NOTIFY_POLL_OUT, OUT_HEADER, Notify

# ENOENT: the kernel had not cached it. The others: the connection is over, or not there yet.
_EXPECTED: Final = frozenset({errno.ENOENT, errno.ENODEV, errno.ECONNABORTED, errno.EPERM})


class Notifier:
    """Sends notifications on a connection's descriptor. The thread starts with the first that may wait."""

    def __init__(self, fd: int, problems: Problems) -> None:
        self._fd = fd
        self._problems = problems
        self._queue: SimpleQueue[bytes | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def invalidate_entry(self, parent: int, name: bytes) -> None:
        """Drop the name from the kernel's cache, so that the next use of it is looked up."""
        self._enqueue(_message(Notify.INVAL_ENTRY, INVAL_ENTRY_OUT.pack(parent, len(name)) + name + b"\0"))

    def invalidate_inode(self, node: int) -> None:
        """Drop a node's attributes and all its cached pages."""
        self._enqueue(_message(Notify.INVAL_INODE, INVAL_INODE_OUT.pack(node, 0, 0)))

    def wake_poller(self, poller: int) -> None:
        """Have the kernel ask again for what a poller waits for.

        Takes no lock that a reader could hold, so it is written at once; a poller that has gone is no error.
        """
        try:
            os.write(self._fd, _message(Notify.POLL, NOTIFY_POLL_OUT.pack(poller)))
        except OSError as error:
            if error.errno not in _EXPECTED:
                self._problems.report(f"notification: {errno.errorcode.get(error.errno or 0, 'error')}", error)

    def resend(self) -> None:
        """Have all requests that were read but not answered delivered again (`Negotiated.has_resend`).

        Takes no lock that a reader could hold, so it is written at once; OSError(EINVAL) on kernels without it.
        """
        os.write(self._fd, _message(Notify.RESEND, b""))

    def close(self, timeout_seconds: float = 1.0) -> None:
        """Let the thread send what is queued and end; it is left behind if the kernel makes it wait longer."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(timeout_seconds)
            self._thread, self._queue = None, SimpleQueue()

    def _enqueue(self, message: bytes) -> None:
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._send_queued, args=(self._queue,), name="fuse-notifier", daemon=True
            )
            self._thread.start()
        self._queue.put(message)

    def _send_queued(self, queue: SimpleQueue[bytes | None]) -> None:
        while (message := queue.get()) is not None:
            try:
                os.write(self._fd, message)
            except OSError as error:
                if error.errno not in _EXPECTED:
                    self._problems.report(f"notification: {errno.errorcode.get(error.errno or 0, 'error')}", error)


def _message(code: Notify, body: bytes) -> bytes:
    """Build a notification: an answer to request 0 with the code where the error would be."""
    return OUT_HEADER.pack(OUT_HEADER.size + len(body), code, 0) + body
