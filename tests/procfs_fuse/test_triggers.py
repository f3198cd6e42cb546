"""PSI triggers without a kernel that fires them: what is accepted, how news reach a poller, what is given back."""

from __future__ import annotations

import errno
import os
import select
import socket
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procfs_fuse.triggers import ALWAYS_READY, Triggers


class Loop:
    """Callbacks under test control."""

    def __init__(self) -> None:
        self.callbacks: dict[int, Callable[[], object]] = {}

    def add_reader(self, fd: int, callback: Callable[[], object], events: int = 0, /) -> None:
        """Keep it."""
        assert events == select.EPOLLPRI
        self.callbacks[fd] = callback

    def remove_reader(self, fd: int, /) -> None:
        """Forget it."""
        del self.callbacks[fd]


def never() -> int:
    """Stand for a file that must not be opened."""
    raise AssertionError


def test_news_are_told_once_and_wake_who_waits() -> None:
    """A poller that asks with a handle is woken with that handle, asks again, and gets POLLPRI once."""
    loop, woken = Loop(), list[int]()
    triggers = Triggers(loop)
    triggers.notify = woken.append
    far, near = socket.socketpair()
    with far:
        trigger = triggers.make(b"some 150000 1000000", near.detach)
        assert far.recv(100) == b"some 150000 1000000\0"
        assert triggers.poll(trigger, 5) == ALWAYS_READY
        loop.callbacks[trigger.descriptor]()
        loop.callbacks[trigger.descriptor]()
        assert woken == [5]
        assert triggers.poll(trigger, None) == ALWAYS_READY | select.POLLPRI
        assert triggers.poll(trigger, None) == ALWAYS_READY
        triggers.close(trigger)
        assert loop.callbacks == {}
        assert far.recv(100) == b""


def test_a_dead_trigger_is_watched_no_more_and_says_so_for_ever() -> None:
    """The kernel reports an error without end: the loop must not spin."""
    loop = Loop()
    triggers = Triggers(loop)
    reader, writer = os.pipe()
    trigger = triggers.make(b"full 1 500000\n", lambda: writer)
    os.close(reader)  # from here on the writing end is in error
    loop.callbacks[writer]()
    assert loop.callbacks == {}
    assert triggers.poll(trigger, None) == ALWAYS_READY | select.POLLPRI | select.POLLERR
    assert triggers.poll(trigger, None) == ALWAYS_READY | select.POLLERR
    triggers.close(trigger)


@given(st.binary(max_size=64))
def test_anything_else_is_refused_before_a_file_is_opened(request: bytes) -> None:
    """EINVAL, whatever it is; random bytes are never a trigger."""
    with pytest.raises(OSError, match="Invalid argument") as caught:
        Triggers(Loop()).make(request, never)
    assert caught.value.errno == errno.EINVAL


def test_a_refused_trigger_leaves_nothing_open() -> None:
    """The kernel's own error reaches the writer, and the descriptor is given back."""
    reader, writer = os.pipe()
    os.close(writer)
    with pytest.raises(OSError, match="Bad file descriptor"):
        Triggers(Loop()).make(b"some 1 500000", lambda: reader)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(reader)


def test_there_are_not_more_than_the_kernel_can_bear() -> None:
    """Beyond that EBUSY; a closed one makes room."""
    loop = Loop()
    triggers = Triggers(loop)

    def null() -> int:
        return os.open(os.devnull, os.O_RDWR)

    made = [triggers.make(b"some 1 500000", null) for _ in range(256)]
    with pytest.raises(OSError, match="too many"):
        triggers.make(b"some 1 500000", never)
    triggers.close(made.pop())
    made.append(triggers.make(b"some 1 500000", null))
    for trigger in made:
        triggers.close(trigger)
