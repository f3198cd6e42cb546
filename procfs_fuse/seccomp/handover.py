"""Giving a listener to the agent, which is started if there is none.

A launcher makes the socket itself and starts the agent with it: whoever connects meanwhile just waits a little. The
*door* is a lock that keeps an idle agent from ending while somebody is about to give it a listener.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import sys
from collections.abc import Iterator
from typing import Final

from cgscope.state import AGENT
from procfs_fuse import background
from procfs_fuse.control_socket import connect_to, listen
from procfs_fuse.seccomp.reception import message

SOCKET_NAME: Final = AGENT
"""Of an agent's socket, in the state directory."""

_CONNECT_SECONDS: Final = 10.0


def lxc_path(path: str) -> str:
    """Where the agent behind ``path`` listens for monitors of LXC: seccomp-lxc.sock beside seccomp.sock."""
    root, extension = os.path.splitext(path)
    return f"{root}-lxc{extension}"


@contextlib.contextmanager
def door(path: str) -> Iterator[None]:
    """Keep the agent behind ``path``, or its absence, as it is."""
    descriptor = os.open(f"{path}.door", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def is_served(path: str) -> bool:
    """Whether an agent listens at ``path``."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_CONNECT_SECONDS)
        try:
            connect_to(connection, path)
        except OSError:
            return False
    return True


def deliver(path: str, listener: int, name: str, metadata: str) -> None:
    """Send a duplicate of the listener as an OCI runtime does. Raises OSError when nobody listens at ``path``."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_CONNECT_SECONDS)
        connect_to(connection, path)
        socket.send_fds(connection, [message(name, os.getpid(), metadata)], [listener])


def deliver_or_start(state_dir: str, listener: int, name: str, metadata: str) -> None:
    """The same to the agent of a state directory, or else to one that is started. Raises OSError."""
    path = os.path.join(state_dir, SOCKET_NAME)
    with door(path):
        try:
            deliver(path, listener, name, metadata)
        except (FileNotFoundError, ConnectionRefusedError):
            with listen(path) as listening:
                _start(listening.fileno(), state_dir)
            deliver(path, listener, name, metadata)


def _start(listening: int, state_dir: str) -> None:
    """Start an agent, as a session of its own, that finds this socket as its standard input."""
    log = os.path.join(state_dir, "seccomp.log")
    append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    actions = [
        (os.POSIX_SPAWN_DUP2, listening, 0),
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_OPEN, 2, log, append, 0o600),
    ]
    os.posix_spawn(
        sys.executable,
        [*background.program(), "seccomp-agent", "--listen-fd", "0", "--state-dir", state_dir],
        background.environment(),
        file_actions=actions,
        setsid=True,
        setsigmask=(),
        setsigdef=signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP},
    )
