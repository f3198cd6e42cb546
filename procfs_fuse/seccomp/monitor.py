"""LXC's monitor between the kernel and us: it receives a container's notifications and asks us over a socket.

It connects to `lxc.seccomp.notify.proxy` (SOCK_SEQPACKET), sends one message for each call and waits for the same with
the response filled in, which it hands to the kernel. A message is `struct seccomp_notify_proxy_msg` (LXC's
src/lxc/lxcseccomp.h), `struct seccomp_notif`, `struct seccomp_notif_resp` and the cookie; /proc/PID of the caller, its
memory and the listener come with it as descriptors.

A message stays in the socket until it has been answered, so whoever is killed meanwhile leaves it to the next. It is
taken out after the answer was sent; `settle` deals with what is between. Nobody may answer twice: the monitor would
take the second answer for that to its next question.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import struct
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from procfs_fuse import descriptors
from procfs_fuse.seccomp import notify
from procfs_fuse.seccomp.notify import NOTIFICATION, Gone, Notification

_HEAD: Final = struct.Struct("=QiiHHH2xQ")  # reserved, pids of monitor and init, three sizes, length of the cookie
_MOST_BYTES: Final = 8192
_DESCRIPTORS: Final = 3
_LISTENER: Final = 2  # which of them
_SETTLE_SECONDS: Final = 0.1
_PAUSE_SECONDS: Final = 0.001


class Closed(Exception):
    """The monitor has ended, or what it says is not understood."""


@dataclass(frozen=True, slots=True)
class Question:
    """A stopped call, as the monitor tells of it."""

    notification: Notification
    connection: int
    listener: int  # its descriptor, ours
    message: bytes  # without the cookie and the response
    response_bytes: int

    @property
    def record(self) -> bytes:
        """The notification, as the kernel gave it to the monitor."""
        return self.message[_HEAD.size : _HEAD.size + NOTIFICATION.size]

    def is_valid(self) -> bool:
        """Whether its thread still waits."""
        return notify.is_valid(self.listener, self.notification.id)

    def answer(self, value: int) -> None:
        """Let the call return ``value``."""
        self._respond(notify.response(self.notification.id, value=value))

    def fail(self, number: int) -> None:
        """Let the call fail with the error ``number``."""
        self._respond(notify.response(self.notification.id, error=number))

    def resume(self) -> None:
        """Let the kernel do the call as if nobody had stopped it."""
        self._respond(notify.response(self.notification.id, resume=True))

    def drop(self) -> None:
        """It has been answered."""
        with _borrowed(self.connection) as connection, contextlib.suppress(OSError):
            connection.recv(1, socket.MSG_DONTWAIT | socket.MSG_TRUNC)

    def _respond(self, response: bytes) -> None:
        """Answer also those who have gone: the monitor waits for it."""
        with _borrowed(self.connection) as connection, contextlib.suppress(OSError):  # it ended meanwhile
            connection.send(self.message + response.ljust(self.response_bytes, b"\0"), socket.MSG_DONTWAIT)
        self.drop()


@contextlib.contextmanager
def asked(connection: int) -> Iterator[Question]:
    """The question that waits to be answered. Raises `Closed`, and `Gone` when there is none."""
    with _borrowed(connection) as ours:
        try:
            data, found = descriptors.receive(ours, _MOST_BYTES, _DESCRIPTORS, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            raise Gone from None
        except OSError as error:
            raise Closed from error
    try:
        yield _understood(connection, data, found)
    finally:
        for descriptor in found:
            os.close(descriptor)


def pass_on(connection: int) -> bool:
    """Leave the question that waits to the kernel; False if there is none."""
    try:
        with asked(connection) as question:
            question.resume()
    except (Gone, Closed):
        return False
    return True


def settle(connection: int, notification_id: int) -> None:
    """Drop the question if somebody was killed between his answer to it and dropping it.

    The answer is either still there to be read, or the kernel has it as soon as the monitor gets on.
    """
    with contextlib.suppress(Gone, Closed), asked(connection) as question:
        if question.notification.id != notification_id:
            return
        deadline = time.monotonic() + _SETTLE_SECONDS
        while time.monotonic() < deadline:
            if _unread(connection) or not question.is_valid():
                question.drop()
                return
            time.sleep(_PAUSE_SECONDS)


def refuse(connection: int) -> None:
    """Take no more questions: the monitor connects anew for the next one."""
    with _borrowed(connection) as ours, contextlib.suppress(OSError):
        ours.shutdown(socket.SHUT_RD)


def _understood(connection: int, data: bytes, found: list[int]) -> Question:
    if len(data) < _HEAD.size + NOTIFICATION.size or len(found) != _DESCRIPTORS:
        raise Closed
    _reserved, _monitor, _init, notification_bytes, response_bytes, _data_bytes, cookie_bytes = _HEAD.unpack_from(data)
    end = _HEAD.size + notification_bytes
    if notification_bytes < NOTIFICATION.size or end + response_bytes + cookie_bytes != len(data):
        raise Closed
    if not notify.is_listener(found[_LISTENER]):
        raise Closed
    notification = Notification.parse(data[_HEAD.size : _HEAD.size + NOTIFICATION.size])
    return Question(notification, connection, found[_LISTENER], data[:end], response_bytes)


def _unread(connection: int) -> int:
    """How much of what we sent the other end has not read."""
    (count,) = struct.unpack("=i", fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)))
    return int(count)


@contextlib.contextmanager
def _borrowed(descriptor: int) -> Iterator[socket.socket]:
    """Use a descriptor that stays its owner's."""
    borrowed = socket.socket(fileno=descriptor)
    try:
        yield borrowed
    finally:
        borrowed.detach()
