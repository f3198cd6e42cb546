"""Messages between keeper, nursery and workers: JSON objects, each with descriptors if need be.

Every message arrives whole or not at all, and the end of the other process is an end of the channel.
"""

from __future__ import annotations

import array
import json
import socket
from collections.abc import Mapping, Sequence
from typing import Any, Final

from procfs_fuse import descriptors

_MOST_BYTES: Final = 1 << 14
_MOST_DESCRIPTORS: Final = 8


class Closed(Exception):
    """The other end is gone."""


class Channel:
    """One end."""

    def __init__(self, fd: int) -> None:
        """Own the descriptor of a sequential-packet socket."""
        self._socket = socket.socket(fileno=fd)

    @classmethod
    def pair(cls) -> tuple[Channel, int]:
        """Make a channel; the other end is a descriptor to be handed on."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(0)
        return cls(ours.detach()), theirs.detach()

    def fileno(self) -> int:
        """Descriptor to wait for."""
        return self._socket.fileno()

    def send(self, message: Mapping[str, object], handed: Sequence[int] = ()) -> bool:
        """Send without waiting where the end is one of `pair`; False when the other end is gone or takes nothing."""
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", handed))] if handed else []
        try:
            self._socket.sendmsg([json.dumps(message).encode()], ancillary, socket.MSG_NOSIGNAL)
        except OSError:
            return False
        return True

    def receive(self) -> tuple[dict[str, Any], list[int]] | None:
        """Return a message and its descriptors; None when there is none now. Raises `Closed`."""
        try:
            data, found = descriptors.receive(self._socket, _MOST_BYTES, _MOST_DESCRIPTORS)
        except BlockingIOError:
            return None
        except OSError as error:
            raise Closed from error
        if not data:
            raise Closed
        return json.loads(data), found

    def close(self) -> None:
        """Close this end."""
        self._socket.close()
