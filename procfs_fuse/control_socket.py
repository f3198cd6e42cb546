"""The control socket: JSON lines over a Unix socket that only root may use.

A request is ``{"do": "status", …}``, the answer ``{"ok": …}`` or ``{"error": "why"}``. The server lives inside the
event loop that also answers the kernel, so it never waits: a client that sends too much, or does not take its answer,
is dropped.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from cgscope.errors import Failure
from cgscope.sockets import ask, bind_to, connect_to

__all__ = ["Operation", "Server", "ask", "bind_to", "connect_to", "listen"]

Operation = Callable[[Mapping[str, Any]], Any]
"""Takes the request, returns what goes into the answer (anything JSON can say); raises Failure to refuse."""

_MOST_REQUEST_BYTES: Final = 4096
_MOST_CLIENTS: Final = 32
_ANSWER_BUFFER_BYTES: Final = 1 << 20
_PEER: Final = struct.Struct("iII")  # struct ucred of include/linux/socket.h: pid, uid, gid


class Loop(Protocol):
    """What the server asks of an event loop."""

    def add_reader(self, descriptor: int, callback: Callable[[], object], /) -> None:
        """Call ``callback`` whenever ``descriptor`` can be read."""

    def remove_reader(self, descriptor: int, /) -> None:
        """Stop doing so."""


def listen(path: str, kind: int = socket.SOCK_STREAM) -> socket.socket:
    """Make a socket on which only root is heard; it stays usable for whoever inherits it."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX, kind | socket.SOCK_NONBLOCK)
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


def _uid_of(connection: socket.socket) -> int:
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    _, uid, _ = _PEER.unpack(data)
    return int(uid)
