"""Notifications, sent over a socket pair in place of /dev/fuse."""

from __future__ import annotations

import errno
import logging
import os
import socket
from collections.abc import Iterator

import pytest

from procfs_fuse.transport.notification import Notifier
from procfs_fuse.transport.problems import Problems
from procfs_fuse.transport.wire import INVAL_ENTRY_OUT, INVAL_INODE_OUT, NOTIFY_POLL_OUT, OUT_HEADER, Notify


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Return two ends that keep messages apart."""
    far, near = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    far.settimeout(10)
    yield far, near
    far.close()
    near.close()


def test_messages(pair: tuple[socket.socket, socket.socket]) -> None:
    """A notification is an answer to request 0 whose error is the code; a name ends in NUL that is not counted."""
    far, near = pair
    notifier = Notifier(near.fileno(), Problems(logging.getLogger("test")))
    notifier.invalidate_entry(1, b"gone")
    notifier.invalidate_inode(12)
    entry, inode = far.recv(100), far.recv(100)
    assert entry == OUT_HEADER.pack(37, Notify.INVAL_ENTRY, 0) + INVAL_ENTRY_OUT.pack(1, 4) + b"gone\0"
    assert inode == OUT_HEADER.pack(40, Notify.INVAL_INODE, 0) + INVAL_INODE_OUT.pack(12, 0, 0)
    notifier.resend()
    assert far.recv(100) == OUT_HEADER.pack(16, Notify.RESEND, 0)
    notifier.close()


def test_queued_messages_are_sent_before_closing(pair: tuple[socket.socket, socket.socket]) -> None:
    """`close` sends what is queued; closing an unused one does nothing."""
    far, near = pair
    notifier = Notifier(near.fileno(), Problems(logging.getLogger("test")))
    for node in range(50):
        notifier.invalidate_inode(node)
    notifier.close(timeout_seconds=10)
    assert [INVAL_INODE_OUT.unpack(far.recv(100)[16:])[0] for _ in range(50)] == list(range(50))
    Notifier(near.fileno(), Problems(logging.getLogger("test"))).close()


def test_a_poller_is_woken_at_once(pair: tuple[socket.socket, socket.socket]) -> None:
    """No thread is in between: the message is there when the call returns."""
    far, near = pair
    Notifier(near.fileno(), Problems(logging.getLogger("test"))).wake_poller(77)
    message = far.recv(100)
    assert OUT_HEADER.unpack_from(message) == (24, Notify.POLL, 0)
    assert NOTIFY_POLL_OUT.unpack(message[16:]) == (77,)


def test_failures_are_counted() -> None:
    """A descriptor that refuses is counted and does not end the thread."""
    read_end, write_end = os.pipe()
    problems = Problems(logging.getLogger("test"))
    notifier = Notifier(read_end, problems)  # not open for writing
    notifier.invalidate_inode(1)
    notifier.invalidate_inode(2)
    notifier.close(timeout_seconds=10)
    assert problems.counts == {f"notification: {errno.errorcode[errno.EBADF]}": 2}
    os.close(read_end)
    os.close(write_end)
