"""Asking the file system what the container of a process is shown.

Over its control socket and with a time limit, instead of reading the files: a read from a file system that does not
answer cannot be given up.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cgscope.errors import Failure
from procfs_fuse.control_socket import connect_to
from procfs_fuse.instances import Registry

_PATIENCE_SECONDS: Final = 3.0
_REST_SECONDS: Final = 3.0  # before a server that was silent so long is asked again
_MOST_TRIES: Final = 5
_MOST_ANSWER_BYTES: Final = 1 << 20


class Silent(Exception):
    """There is no server, or it does not answer."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a process is shown: files by path; ``container`` is its cgroup, None for the machine itself."""

    container: str | None
    files: Mapping[str, str]
    until: float  # when the file system itself may show something else; CLOCK_MONOTONIC, seconds


class Truth:
    """Kept connections to instances, by the path of their socket."""

    def __init__(self, registry: Registry, mountpoint: str | None, clock: Callable[[], float] = time.monotonic) -> None:
        """``mountpoint``: of the instance to ask where none is named; None: the only one."""
        self._registry = registry
        self._mountpoint = mountpoint
        self._clock = clock
        self._connections: dict[str | None, socket.socket] = {}
        self._resting_until: dict[str | None, float] = {}

    def shown(self, pid: int, files: Sequence[str], service: str | None) -> Shown:
        """Ask the instance behind this socket, or ours. Raises `Silent`."""
        if self._clock() < self._resting_until.get(service, 0.0):
            raise Silent("it did not answer a moment ago")
        request = {"do": "shown", "pid": pid, "files": files}
        problem: Exception | None = None
        for _ in range(_MOST_TRIES):  # who served may have been replaced, also while it was answering
            try:
                return _understood(_exchange(self._connection(service), request))
            except TimeoutError as error:
                self._drop(service)
                self._resting_until[service] = self._clock() + _REST_SECONDS
                raise Silent(f"no answer in {_PATIENCE_SECONDS:.0f} s") from error
            except (OSError, ValueError, KeyError, TypeError) as error:
                self._drop(service)
                problem = error
        raise Silent(str(problem)) from problem

    def _connection(self, service: str | None) -> socket.socket:
        """The kept one, or a new one. Raises `Silent` when nobody is there."""
        kept = self._connections.get(service)
        if kept is not None:
            return kept
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(_PATIENCE_SECONDS)
        try:
            connect_to(connection, service or self._registry.select(self._mountpoint).service)
        except Failure as failure:
            connection.close()
            raise Silent(str(failure)) from failure
        except (FileNotFoundError, ConnectionRefusedError) as error:
            connection.close()
            raise Silent("no procfs-fuse serves these files") from error
        self._connections[service] = connection
        return connection

    def _drop(self, service: str | None) -> None:
        connection = self._connections.pop(service, None)
        if connection is not None:
            connection.close()


def _exchange(connection: socket.socket, request: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
    connection.sendall(json.dumps(request).encode() + b"\n")
    data = b""
    while not data.endswith(b"\n"):
        part = connection.recv(1 << 16)
        if not part or len(data) > _MOST_ANSWER_BYTES:
            raise ConnectionResetError("it broke off its answer")
        data += part
    answer = json.loads(data)
    if "error" in answer:
        raise ValueError(answer["error"])
    return answer["ok"]


def _understood(answer: Any) -> Shown:  # noqa: ANN401 - JSON
    return Shown(answer["container"], answer["files"], answer["until_ns"] / 1e9)
