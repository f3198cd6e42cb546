"""Where listeners arrive: the socket that OCI profiles call ``listenerPath``.

A runtime connects and sends one JSON object with the descriptors (config-linux.md of the OCI runtime
specification, "Container Process State"). ``listenerMetadata`` comes with it: words that choose what is answered.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import resource
import socket
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from procfs_fuse.descriptors import receive
from procfs_fuse.seccomp.notify import is_listener
from procfs_fuse.transport.loop import Loop

_LISTENER_NAME: Final = "seccompFd"  # in the state's list of descriptors
_MOST_BYTES: Final = 1 << 20
_MOST_DESCRIPTORS: Final = 8
_MOST_CLIENTS: Final = 64
_SPARE_DESCRIPTORS: Final = 128  # for everything but listeners
_PEER: Final = struct.Struct("iII")  # struct ucred of include/linux/socket.h: pid, uid, gid

log = logging.getLogger(__name__)

Take = Callable[[int, str, str], None]
"""Takes a listener's descriptor, the container's name and the metadata."""


class Monitors:
    """Accepts the monitors of LXC, each of which keeps its connection as long as its container runs."""

    def __init__(self, loop: Loop, listener: socket.socket, take: Callable[[int, str], None]) -> None:
        """``take`` gets a connection's descriptor and a name for people."""
        self._loop = loop
        self._listener = listener
        self._take = take
        loop.add_reader(listener.fileno(), self._accept)

    def close(self) -> None:
        """Accept no more."""
        self._loop.remove_reader(self._listener.fileno())
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            connection, _ = self._listener.accept()
            pid, _uid, _gid = _PEER.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
            self._take(connection.detach(), f"container of LXC's monitor {pid}")


@dataclass(slots=True)
class _Client:
    connection: socket.socket
    data: bytes = b""
    descriptors: list[int] = field(default_factory=list)


class Reception:
    """Accepts connections, and hands on what they bring."""

    def __init__(
        self, loop: Loop, listener: socket.socket, take: Take, status: Callable[[], Mapping[str, Any]]
    ) -> None:
        """``status`` has ``listeners``, how many there are; it is also told to those who ask (`control_socket.ask`)."""
        self._loop = loop
        self._listener = listener
        self._take = take
        self._status = status
        self._clients: list[_Client] = []
        self._most = raise_descriptor_limit() - _SPARE_DESCRIPTORS
        listener.settimeout(0)
        loop.add_reader(listener.fileno(), self.accept)

    def close(self) -> None:
        """Accept no more; what was not received completely is lost."""
        self._loop.remove_reader(self._listener.fileno())
        self._listener.close()
        for client in list(self._clients):
            self._drop(client)

    def is_busy(self) -> bool:
        """Whether somebody is connected, or wants to be."""
        return self.accept() or bool(self._clients)

    def accept(self) -> bool:
        """Accept one connection; False if nobody waits."""
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return False
        connection.settimeout(0)
        if len(self._clients) >= _MOST_CLIENTS:
            self._drop(self._clients[0])  # the one that has had most time
        client = _Client(connection)
        self._clients.append(client)
        self._loop.add_reader(connection.fileno(), lambda: self._receive(client))
        return True

    def _receive(self, client: _Client) -> None:
        try:
            data, descriptors = receive(client.connection, 1 << 16, _MOST_DESCRIPTORS)
        except BlockingIOError:
            return
        except OSError:
            data, descriptors = b"", []
        client.data += data
        client.descriptors += descriptors
        # Its own end tells that a message is complete: runc keeps the connection while the container's process runs.
        state = _complete(client.data)
        if state is not None:
            self._understand(client, state)
        elif data and len(client.data) <= _MOST_BYTES and len(client.descriptors) <= _MOST_DESCRIPTORS:
            return
        elif client.data:
            log.error("a message that is not a container's state")
        self._drop(client)

    def _understand(self, client: _Client, state: Mapping[str, Any]) -> None:
        if state.get("do") == "status":
            with contextlib.suppress(OSError):
                client.connection.send(json.dumps({"ok": self._status()}).encode() + b"\n")
            return
        try:
            name, metadata, index = understood(state)
            descriptor = client.descriptors[index]
        except (ValueError, KeyError, TypeError, IndexError) as error:
            log.error("a message that is not a container's state with a listener: %r", error)  # noqa: TRY400
            return
        if not is_listener(descriptor):
            log.error("%s: what it sent is no listener", name)
            return
        if self._status()["listeners"] >= self._most:
            log.error("%s: no more than %d containers with this limit of descriptors (ulimit -n)", name, self._most)
            return
        client.descriptors.remove(descriptor)
        self._take(descriptor, name, metadata)

    def _drop(self, client: _Client) -> None:
        self._loop.remove_reader(client.connection.fileno())
        client.connection.close()
        for descriptor in client.descriptors:
            os.close(descriptor)
        self._clients.remove(client)


def _complete(data: bytes) -> Mapping[str, Any] | None:
    """The object of a message that is there as a whole."""
    if not data.rstrip().endswith(b"}"):
        return None
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def understood(state: Mapping[str, Any]) -> tuple[str, str, int]:
    """Name of the container, metadata, and which descriptor is the listener. Raises ValueError, KeyError, TypeError."""
    name = str((state.get("state") or {}).get("id") or f"process {state.get('pid')}")
    return name, str(state.get("metadata") or ""), list(state["fds"]).index(_LISTENER_NAME)


def message(name: str, pid: int, metadata: str) -> bytes:
    """What a runtime sends, for `understood`."""
    state = {"ociVersion": "1.0.2", "id": name, "status": "creating", "pid": pid, "bundle": "/"}
    whole = {"ociVersion": "1.0.2", "fds": [_LISTENER_NAME], "pid": pid, "metadata": metadata, "state": state}
    return json.dumps(whole).encode()


def raise_descriptor_limit() -> int:
    """As many descriptors as we may have: each container takes one; returns that number."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
