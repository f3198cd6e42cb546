"""Letting go of descriptors that somebody else opened.

A process that outlives its caller must not keep the caller's pipes open: whoever reads them waits for their end.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Collection, Iterator
from typing import Final

_STANDARD_ERROR: Final = 2
_INT: Final = struct.Struct("=i")


def close_all_but(keep: Collection[int]) -> None:
    """Close every descriptor but the standard streams and ``keep``."""
    first = _STANDARD_ERROR + 1
    for kept in sorted(one for one in keep if one >= first):
        if first < kept:
            os.closerange(first, kept)
        first = kept + 1
    os.closerange(first, max(_beyond_standard(), default=first) + 1)


def close_all_at_exec() -> None:
    """Keep every descriptor but the standard streams from the next program."""
    for descriptor in _beyond_standard():
        try:
            os.set_inheritable(descriptor, False)  # noqa: FBT003 - its only form
        except OSError:
            continue


def receive(
    connection: socket.socket, most_bytes: int, most_descriptors: int, flags: int = 0
) -> tuple[bytes, list[int]]:
    """A message and the descriptors that came with it, none of which the next program gets.

    socket.recv_fds takes flags, too, but does nothing with them (Python 3.11).
    """
    room = socket.CMSG_SPACE(most_descriptors * _INT.size)
    data, ancillary, _flags, _address = connection.recvmsg(most_bytes, room, socket.MSG_CMSG_CLOEXEC | flags)
    found: list[int] = []
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            found += [number for (number,) in _INT.iter_unpack(content[: len(content) // _INT.size * _INT.size])]
    return data, found


def detach_standard_streams() -> None:
    """Read nothing from, and write nothing to, where our caller does."""
    null = os.open(os.devnull, os.O_RDWR)
    for standard in range(_STANDARD_ERROR + 1):
        os.dup2(null, standard)


def _beyond_standard() -> Iterator[int]:
    # The descriptor that lists the directory is in the list, too, and closed by the time anybody gets to it.
    return (int(name) for name in os.listdir("/proc/self/fd") if int(name) > _STANDARD_ERROR)
