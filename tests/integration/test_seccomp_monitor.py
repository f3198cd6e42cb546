"""Questions of LXC's monitor that somebody had before us who was killed: none is answered twice, none is lost."""

from __future__ import annotations

import ctypes
import os
import select
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from procfs_fuse import descriptors
from procfs_fuse.seccomp import filter as seccomp
from procfs_fuse.seccomp import monitor, notify
from procfs_fuse.seccomp.abi import SYSINFO
from procfs_fuse.seccomp.notify import NOTIFICATION, Gone, Notification, Stopped
from tests.integration.command_line import NEEDS, PATIENCE_SECONDS, REASON
from tests.integration.sysinfo_agent import need_listeners

pytestmark = pytest.mark.skipif(not NEEDS, reason=REASON)

RESPONSE_BYTES = 24


@dataclass(slots=True)
class Asking:
    """A process that waits in sysinfo(2), and the test in the monitor's place: it has asked us about that."""

    stopped: Stopped
    theirs: socket.socket
    ours: socket.socket

    def waits(self) -> bool:
        """Whether the question is still there to be answered."""
        try:
            with monitor.asked(self.ours.fileno()) as question:
                return question.notification == self.stopped.notification
        except Gone:
            return False

    def answer_and_be_killed(self) -> None:
        """What `monitor.Question.resume` does, but for its last step."""
        with monitor.asked(self.ours.fileno()) as question:
            self.ours.send(question.message + notify.response(question.notification.id, resume=True))

    def hand_on(self) -> None:
        """Take the answer, and tell the kernel."""
        assert self.theirs.recv(4096)
        self.stopped.resume()


@pytest.fixture
def asking() -> Iterator[Asking]:
    """One question that waits."""
    need_listeners()
    parent, child = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        socket.send_fds(child, [b"."], [seccomp.install([SYSINFO])])
        os._exit(ctypes.CDLL(None).sysinfo(ctypes.create_string_buffer(1024)))
    _, (listener,) = descriptors.receive(parent, 1, 1)
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    assert poll.poll(PATIENCE_SECONDS * 1000)
    buffer = ctypes.create_string_buffer(4 * NOTIFICATION.size)
    notify.receive(listener, ctypes.addressof(buffer))
    record = buffer.raw[: NOTIFICATION.size]
    stopped = Stopped(Notification.parse(record), listener)
    theirs, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process, memory = os.open(f"/proc/{pid}", os.O_RDONLY), os.open(f"/proc/{pid}/mem", os.O_RDWR)
    head = struct.pack("=QiiHHH2xQ", 0, os.getpid(), pid, NOTIFICATION.size, RESPONSE_BYTES, 64, len(b"cookie"))
    socket.send_fds(theirs, [head + record + bytes(RESPONSE_BYTES) + b"cookie"], [process, memory, listener])
    yield Asking(stopped, theirs, ours)
    if stopped.is_valid():
        stopped.resume()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    for descriptor in (process, memory, listener):
        os.close(descriptor)
    for end in (parent, child, theirs, ours):
        end.close()


def test_an_answer_that_is_not_read_yet_is_not_given_again(asking: Asking) -> None:
    """The monitor has not got on: its question is dropped, and what it will read is the one answer."""
    asking.answer_and_be_killed()
    assert asking.waits()
    monitor.settle(asking.ours.fileno(), asking.stopped.notification.id)
    assert not asking.waits()
    asking.hand_on()
    asking.theirs.setblocking(False)  # noqa: FBT003 - its only form
    with pytest.raises(BlockingIOError):
        asking.theirs.recv(4096)


def test_an_answer_that_the_kernel_has_is_not_given_again(asking: Asking) -> None:
    """The monitor has got on: the kernel does not know the call any more."""
    asking.answer_and_be_killed()
    asking.hand_on()
    assert asking.waits()
    monitor.settle(asking.ours.fileno(), asking.stopped.notification.id)
    assert not asking.waits()


def test_what_was_not_answered_stays(asking: Asking) -> None:
    """Whoever was killed before he answered has left the question to the next."""
    monitor.settle(asking.ours.fileno(), asking.stopped.notification.id)
    assert asking.waits()
    assert monitor.pass_on(asking.ours.fileno())
    assert not asking.waits()
    asking.hand_on()
