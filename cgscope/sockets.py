"""Asking a server over a Unix socket: a JSON line there, a JSON line back. Sockets may have paths of any length."""

from __future__ import annotations

import errno
import json
import os
import socket
import time
from collections.abc import Callable
from typing import Any, Final

from cgscope.errors import Failure

_PAUSE_SECONDS: Final = 0.01


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
    if isinstance(answer, dict) and "ok" in answer:
        return answer["ok"]
    why = answer.get("error") if isinstance(answer, dict) else None
    raise Failure(str(why or f"the server behind {path} gave an answer that is none"))


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
