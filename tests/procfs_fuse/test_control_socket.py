"""The control socket: for root only, and never a reason to wait."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from cgscope.errors import Failure
from procfs_fuse.control_socket import Server, ask, connect_to, listen


class PollLoop:
    """A small event loop."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._callbacks: dict[int, Callable[[], object]] = {}

    def add_reader(self, descriptor: int, callback: Callable[[], object], /) -> None:
        """Call it when there is something."""
        self._callbacks[descriptor] = callback
        self._poll.register(descriptor, select.POLLIN)

    def remove_reader(self, descriptor: int, /) -> None:
        """Do not."""
        del self._callbacks[descriptor]
        self._poll.unregister(descriptor)

    def run_until(self, end: threading.Event) -> None:
        """Serve."""
        while not end.is_set():
            for descriptor, _ in self._poll.poll(10):
                if descriptor in self._callbacks:
                    self._callbacks[descriptor]()

    @property
    def watched(self) -> int:
        """How many descriptors."""
        return len(self._callbacks)


def _refuse(_request: Mapping[str, Any]) -> None:
    raise Failure("not today", "try tomorrow")


def _fail(_request: Mapping[str, Any]) -> None:
    raise OSError(16, "Device or resource busy", "/mnt")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, PollLoop]]:
    """A server behind a path that is longer than the kernel takes."""
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    path = str(folder / "control.sock")
    loop, end = PollLoop(), threading.Event()
    server = Server(
        listen(path), loop, {"echo": dict, "refuse": _refuse, "fail": _fail, "large": lambda _: "x" * 100_000}
    )
    thread = threading.Thread(target=loop.run_until, args=(end,))
    thread.start()
    yield path, loop
    end.set()
    thread.join()
    server.close()
    assert loop.watched == 0


Served = tuple[str, PollLoop]


def test_answers(served: Served) -> None:
    """What the operation returns comes back, also when it is large."""
    assert ask(served[0], "echo", number=1) == {"do": "echo", "number": 1}
    assert len(ask(served[0], "large")) == 100_000


def test_refusals_are_failures_of_the_asker(served: Served) -> None:
    """Errors arrive as one line."""
    with pytest.raises(Failure, match=r"not today \(try tomorrow\)"):
        ask(served[0], "refuse")
    with pytest.raises(Failure, match="Device or resource busy"):
        ask(served[0], "fail")
    with pytest.raises(Failure, match="understands"):
        ask(served[0], "unknown")


def test_only_the_owner_may_connect(served: Served) -> None:
    """The file is the owner's alone from its first moment."""
    assert stat.S_IMODE(os.stat(served[0]).st_mode) == 0o600


def connected(path: str) -> socket.socket:
    """A client that speaks no protocol."""
    client = socket.socket(socket.AF_UNIX)
    connect_to(client, path)
    client.settimeout(10)
    return client


def send_for_ever(client: socket.socket, data: bytes) -> None:
    """Never read."""
    while True:
        client.sendall(data)


@pytest.mark.parametrize(
    "garbage", [b"\n", b"{}\n", b"[]\n", b'{"do": []}\n', b"\xff\n", b"[" * 4000 + b"\n", b'"x"\n']
)
def test_garbage_is_answered_and_harmless(served: Served, garbage: bytes) -> None:
    """A request that makes no sense gets an error, and the server goes on."""
    with connected(served[0]) as client, client.makefile("rb") as answers:
        client.sendall(garbage)
        assert b"error" in answers.readline()
    assert ask(served[0], "echo") == {"do": "echo"}


def test_endless_requests_are_cut_off(served: Served) -> None:
    """A client that never ends its line is dropped."""
    with connected(served[0]) as client, pytest.raises((BrokenPipeError, ConnectionResetError)):
        send_for_ever(client, b"x" * 1024)


def test_client_that_does_not_listen_is_dropped(served: Served) -> None:
    """Answers that nobody takes fill the socket, and then the client goes; others are served."""
    with connected(served[0]) as client, pytest.raises((BrokenPipeError, ConnectionResetError)):
        send_for_ever(client, b'{"do": "large"}\n')
    assert ask(served[0], "echo") == {"do": "echo"}


def test_silent_clients_do_not_keep_others_out(served: Served) -> None:
    """Connections that say nothing are limited in number; closing them makes room."""
    crowd = [connected(served[0]) for _ in range(40)]
    for client in crowd:
        client.close()
    deadline = time.monotonic() + 60
    while not _echoes(served[0]):  # the server has not yet seen that they are gone
        assert time.monotonic() < deadline


def _echoes(path: str) -> bool:
    with contextlib.suppress(Failure):
        return bool(ask(path, "echo") == {"do": "echo"})
    return False


def test_dead_servers_are_told_apart(tmp_path: Path) -> None:
    """A socket without a server and no socket at all are failures with a reason."""
    path = str(tmp_path / "control.sock")
    with pytest.raises(Failure, match="No such file"):
        ask(path, "status")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
    with pytest.raises(Failure, match="umount"):
        ask(path, "status")
