"""The control socket: JSON lines over a Unix socket that only root may use.

A request is ``{"do": "status", …}``, the answer ``{"ok": …}`` or ``{"error": "why"}``. The server lives inside the
event loop that also answers the kernel, so it never waits: a client that sends too much, or does not take its answer,
is dropped.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import struct
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from cgscope.errors import Failure

Operation = Callable[[Mapping[str, Any]], Any]
"""Takes the request, returns what goes into the answer (anything JSON can say); raises Failure to refuse."""

_MOST_REQUEST_BYTES: Final = 4096
_MOST_CLIENTS: Final = 32
_ANSWER_BUFFER_BYTES: Final = 1 << 20
_PAUSE_SECONDS: Final = 0.01
_PEER: Final = struct.Struct("iII")  # struct ucred of include/linux/socket.h: pid, uid, gid


class Loop(Protocol):
    """What the server asks of an event loop."""

    def add_reader(self, descriptor: int, callback: Callable[[], object], /) -> None:
        """Call ``callback`` whenever ``descriptor`` can be read."""

    def remove_reader(self, descriptor: int, /) -> None:
        """Stop doing so."""


def listen(path: str) -> socket.socket:
    """Make a socket on which only root is heard; it stays usable for whoever inherits it."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    # The file's mode is decided when it is made: nobody gets a moment with a more generous one.
    mask = os.umask(0o177)
    try:
        bind_to(listener, path)
    finally:
        os.umask(mask)
    listener.listen(_MOST_CLIENTS)
    return listener


class Server:
    """Answers on a socket of `listen`, which it owns, with the operation that a request names."""

    def __init__(self, listener: socket.socket, loop: Loop, operations: Mapping[str, Operation]) -> None:
        self._loop = loop
        self._operations = operations
        self._clients: dict[int, _Client] = {}
        self._listener = listener
        self._listener.settimeout(0)
        loop.add_reader(self._listener.fileno(), self._accept)

    def close(self) -> None:
        """Close the listener and every client."""
        for client in list(self._clients.values()):
            self._drop(client)
        self._loop.remove_reader(self._listener.fileno())
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            connection, _ = self._listener.accept()
            if len(self._clients) >= _MOST_CLIENTS or _uid_of(connection) not in {0, os.geteuid()}:
                connection.close()
                return
            connection.settimeout(0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _ANSWER_BUFFER_BYTES)
            client = _Client(connection)
            self._clients[connection.fileno()] = client
            self._loop.add_reader(connection.fileno(), lambda: self._receive(client))

    def _receive(self, client: _Client) -> None:
        try:
            data = client.connection.recv(_MOST_REQUEST_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        client.pending += data
        *lines, client.pending = client.pending.split(b"\n")
        alive = bool(data) and len(client.pending) <= _MOST_REQUEST_BYTES
        for line in lines:
            alive = alive and self._send(client, self._answer(line))
        if not alive:
            self._drop(client)

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            operation = self._operations[request["do"]]
        except (ValueError, KeyError, TypeError, RecursionError):
            return {"error": "not a request that this version understands"}
        try:
            return {"ok": operation(request)}
        except (Failure, OSError) as error:
            return {"error": str(error)}

    def _send(self, client: _Client, answer: dict[str, Any]) -> bool:
        data = json.dumps(answer).encode() + b"\n"
        try:
            return client.connection.send(data) == len(data)
        except OSError:
            return False

    def _drop(self, client: _Client) -> None:
        self._clients.pop(client.connection.fileno(), None)
        self._loop.remove_reader(client.connection.fileno())
        client.connection.close()


class _Client:
    """A connection and the beginning of its next request."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.pending = b""


def ask(path: str, do: str, timeout_seconds: float = 5.0, **arguments: object) -> Any:  # noqa: ANN401 - JSON
    """Send one request to the server at ``path`` and return its answer. Raises Failure when it refuses or is silent."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_seconds)
        try:
            _connect_patiently(connection, path, timeout_seconds)
            connection.sendall(json.dumps({"do": do, **arguments}).encode() + b"\n")
            with connection.makefile("rb") as answers:
                answer = json.loads(answers.readline())
        except TimeoutError as error:
            raise Failure(f"the server behind {path} does not answer", "see its log") from error
        except ConnectionRefusedError as error:
            raise Failure(f"nobody serves {path} any more", "clean up with: procfs-fuse umount") from error
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it broke off its answer"
            raise Failure(f"cannot ask the server behind {path}: {reason}") from error
    if "error" in answer:
        raise Failure(answer["error"])
    return answer["ok"]


def _connect_patiently(connection: socket.socket, path: str, timeout_seconds: float) -> None:
    """Connect; try again while too many others wait to be accepted, which a busy or stopped server lets happen."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        try:
            return connect_to(connection, path)
        except BlockingIOError:  # a Unix socket with a time-out does not wait for this (connect(2), EAGAIN)
            if time.monotonic() > deadline:
                raise TimeoutError from None
            time.sleep(_PAUSE_SECONDS)


def bind_to(listener: socket.socket, path: str) -> None:
    """Bind to a path of any length; the kernel takes only 107 bytes (unix(7))."""
    _by_short_name(listener.bind, path)


def connect_to(connection: socket.socket, path: str) -> None:
    """Connect to a path of any length."""
    _by_short_name(connection.connect, path)


def _by_short_name(call: Callable[[str], None], path: str) -> None:
    # The kernel's limit is on the string, so the directory goes in as a descriptor.
    directory, name = os.path.split(path)
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        call(f"/proc/self/fd/{descriptor}/{name}")
    except OSError as error:
        if error.errno is None:  # Python's own "AF_UNIX path too long"
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), path) from error
        raise
    finally:
        os.close(descriptor)


def _uid_of(connection: socket.socket) -> int:
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    _, uid, _ = _PEER.unpack(data)
    return int(uid)
