"""The event loop over socket pairs and pipes."""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Iterator, Sequence

import pytest

from procfs_fuse.transport import Attr, Entry
from procfs_fuse.transport.kernel import Connection
from procfs_fuse.transport.loop import Callback, Loop
from procfs_fuse.transport.wire import IN_HEADER, Opcode

REQUEST = IN_HEADER.pack(IN_HEADER.size, Opcode.READLINK, 2, 5, 0)


class Links:
    """A file system of links that does something at each request."""

    cached = False

    def __init__(self, action: Callback) -> None:
        self.action = action
        self.asked = 0

    def readlink(self, node: int) -> bytes:
        """Count, act and answer."""
        self.asked += 1
        self.action()
        return b"%d" % node

    def lookup(self, parent: int, name: bytes, pid: int) -> Attr:
        """Know nothing."""
        raise OSError(errno.ENOENT, f"{parent} {name!r} {pid}")

    def getattr(self, node: int, pid: int, fh: int | None = None) -> Attr:
        """Know nothing."""
        raise OSError(errno.ENOENT, f"{node} {pid} {fh}")

    def readdir(self, node: int, pid: int) -> Sequence[Entry]:
        """Know nothing."""
        raise OSError(errno.ENOENT, f"{node} {pid}")

    def open(self, node: int, flags: int, pid: int) -> int:
        """Know nothing."""
        raise OSError(errno.ENOENT, f"{node} {flags} {pid}")

    def read(self, node: int, fh: int, offset: int, size: int, pid: int) -> bytes:
        """Know nothing."""
        raise OSError(errno.ENOENT, f"{node} {fh} {offset} {size} {pid}")

    def settle(self) -> None:
        """Leave nothing for later."""

    def release(self, node: int, fh: int) -> None:
        """Know nothing."""


class Served:
    """A connection over a socket pair."""

    def __init__(self, action: Callback) -> None:
        self.far, self.near = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.links = Links(action)
        self.connection = Connection(self.near.fileno(), self.links)

    def close(self) -> None:
        """Close both ends."""
        self.far.close()
        self.near.close()


@pytest.fixture(params=[0, 100_000], ids=["sleeping", "spinning"])
def loop(request: pytest.FixtureRequest) -> Iterator[Loop]:
    """Return a loop, with and without adaptive polling."""
    loop = Loop(spin_ns=request.param)
    yield loop
    loop.close()


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Return (read end, write end)."""
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def test_several_connections(loop: Loop) -> None:
    """Requests of all connections are answered."""
    remaining = [40]

    def countdown() -> None:
        remaining[0] -= 1
        if not remaining[0]:
            loop.stop()

    served = [Served(countdown), Served(countdown)]
    for one in served:
        loop.add_connection(one.connection)
        for _ in range(20):
            one.far.send(REQUEST)
    loop.run()
    for one in served:
        assert [one.far.recv(100)[16:] for _ in range(20)] == [b"5"] * 20
        one.close()


def test_hot_connection_starves_nobody(loop: Loop, pipe: tuple[int, int]) -> None:
    """With a connection that always has a next request, other connections, descriptors and timers get their turn."""
    reached: set[str] = set()

    def reach(what: str) -> None:
        reached.add(what)
        if reached == {"connection", "reader", "timer"}:
            loop.stop()

    hot = Served(lambda: (hot.far.send(REQUEST), hot.far.recv(100) if hot.links.asked > 1 else None))
    other = Served(lambda: reach("connection"))
    for one in (hot, other):
        loop.add_connection(one.connection)
        one.far.send(REQUEST)
    loop.add_reader(pipe[0], lambda: reach("reader"))
    loop.call_every(0.001, lambda: reach("timer"))
    os.write(pipe[1], b"x")
    loop.run()
    assert reached == {"connection", "reader", "timer"}
    hot.close()
    other.close()


def test_stop_from_another_thread(loop: Loop) -> None:
    """`stop` wakes a sleeping loop."""
    runner = threading.Thread(target=loop.run)
    runner.start()
    loop.stop()
    runner.join(10)
    assert not runner.is_alive()


def test_timers_repeat_until_cancelled(loop: Loop) -> None:
    """A timer is called again and again, a cancelled one no more, one that fails all the same."""
    calls: list[str] = []

    def once() -> None:
        calls.append("once")
        cancelled.cancel()

    def often() -> None:
        calls.append("often")
        if calls.count("often") == 5:
            loop.stop()
        raise ValueError

    cancelled = loop.call_every(0.0001, once)
    loop.call_every(0.001, often)
    loop.run()
    assert calls.count("once") == 1
    assert calls.count("often") == 5
    assert loop.problems.counts == {"callback: ValueError": 5}


def test_removed_reader(loop: Loop, pipe: tuple[int, int]) -> None:
    """A reader may remove itself and is not called again although its descriptor stays readable."""
    calls = []

    def called() -> None:
        calls.append(1)
        loop.remove_reader(pipe[0])

    os.write(pipe[1], b"x")
    loop.add_reader(pipe[0], called)
    loop.call_every(0.005, loop.stop)
    loop.run()
    assert calls == [1]


def test_broken_connection_ends_the_loop(loop: Loop) -> None:
    """A descriptor that cannot be read is dropped, reported and announced; with the last one the loop returns."""
    finished: list[int] = []
    read_end, write_end = os.pipe()
    os.close(read_end)  # the other end is in error from now on, and was never open for reading
    loop.add_connection(Connection(write_end, Links(lambda: None)), lambda: finished.append(1))
    loop.run()
    assert finished == [1]
    assert loop.problems.counts == {"connection: OSError": 1}
    os.close(write_end)
