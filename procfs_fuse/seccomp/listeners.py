"""A container's listener, how calls are received from it, and its way through a Unix socket."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Final, Protocol

from procfs_fuse import descriptors
from procfs_fuse.seccomp import monitor, notify
from procfs_fuse.seccomp.journal import Slot
from procfs_fuse.seccomp.notify import Gone, Notification, Stopped

_MOST_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class Listener:
    """The descriptor on which the kernel tells of a container's calls."""

    number: int  # ours: descriptors' numbers are used again
    descriptor: int  # of the kernel; or a connection to LXC's monitor, which has that
    label: str  # of the container, for people
    affinity: bool = False  # whether sched_getaffinity(2) is answered
    service: str | None = None  # socket of the instance whose files it sees; None: the agent's one
    by_monitor: bool = False  # whether the descriptor is such a connection

    def pass_on(self) -> bool:
        """Leave one call to the kernel; False if it was taken back meanwhile."""
        return monitor.pass_on(self.descriptor) if self.by_monitor else notify.pass_on(self.descriptor)

    def give_up(self, slot: Slot) -> bool:
        """Leave to the kernel what a worker had begun; False if nobody waits for it."""
        left = slot.notification
        if left is None:
            return False
        if self.by_monitor:
            monitor.settle(self.descriptor, left.id)
            return monitor.pass_on(self.descriptor)
        try:
            Stopped(left, self.descriptor).resume()
        except Gone:
            return False
        return True


class Call(Protocol):
    """A stopped call that waits for its answer."""

    @property
    def notification(self) -> Notification:
        """What the kernel tells of it."""

    def is_valid(self) -> bool:
        """Whether its thread still waits; what was opened by its pid before is then that very thread's."""

    def answer(self, value: int, /) -> None:
        """Let the call return ``value``. Raises `Gone`."""

    def fail(self, number: int, /) -> None:
        """Let the call fail with the error ``number``. Raises `Gone`."""

    def resume(self) -> None:
        """Let the kernel do the call as if nobody had stopped it. Raises `Gone`."""


@contextlib.contextmanager
def received(listener: Listener, slot: Slot) -> Iterator[Call]:
    """The next call, written down in ``slot`` until it has been dealt with.

    Raises `Gone` when nobody waits for it any more, `monitor.Closed`, OSError.
    """
    slot.begin(listener.number)
    try:
        if listener.by_monitor:
            with monitor.asked(listener.descriptor) as question:
                slot.put(question.record)
                try:
                    yield question
                except Gone:
                    question.resume()  # LXC's monitor waits for an answer all the same
        else:
            notify.receive(listener.descriptor, slot.address)
            found = slot.notification
            if found is None:
                raise Gone
            yield Stopped(found, listener.descriptor)
    finally:
        slot.clear()


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
