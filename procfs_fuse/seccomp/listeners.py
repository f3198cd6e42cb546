"""A container's listener, and its way through a Unix socket."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import asdict, dataclass, replace
from typing import Final

from procfs_fuse import descriptors

_MOST_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class Listener:
    """The descriptor on which the kernel tells of a container's calls."""

    number: int  # ours: descriptors' numbers are used again
    descriptor: int
    label: str  # of the container, for people
    affinity: bool = False  # whether sched_getaffinity(2) is answered
    service: str | None = None  # socket of the instance whose files it sees; None: the agent's one


def send(channel: socket.socket, listener: Listener) -> None:
    """Send a duplicate over a socket that keeps messages apart."""
    socket.send_fds(channel, [json.dumps(asdict(listener)).encode()], [listener.descriptor])


def receive(channel: socket.socket) -> Listener | None:
    """What `send` sent; None when the other end is closed."""
    data, found = descriptors.receive(channel, _MOST_BYTES, 4)
    if not data or not found:
        return None
    for surplus in found[1:]:
        os.close(surplus)
    return replace(Listener(**json.loads(data)), descriptor=found[0])
