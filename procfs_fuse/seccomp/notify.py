"""The kernel's side of a listener: receiving notifications, answering them, writing into the caller's memory.

Sources: seccomp_unotify(2), include/uapi/linux/seccomp.h, kernel/seccomp.c.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import select
import struct
from dataclasses import dataclass
from typing import Final, NamedTuple

NOTIFICATION: Final = struct.Struct("=QIIiI7Q")
"""struct seccomp_notif: id, pid, flags; then struct seccomp_data: number, arch, instruction pointer, six arguments."""

_RESPONSE: Final = struct.Struct("=QqiI")  # struct seccomp_notif_resp: id, value, error, flags
_CONTINUE: Final = 1  # SECCOMP_USER_NOTIF_FLAG_CONTINUE
_SYNC_WAKE_UP: Final = struct.pack("=Q", 1)  # SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP

_RECEIVE: Final = 0xC0502100
_SEND: Final = 0xC0182101
_ID_VALID: Final = 0x80082102  # with the direction that was wrong until Linux 5.8 and is understood by all
_SET_FLAGS: Final = 0x40082104

_LINK: Final = "anon_inode:seccomp notify"
_MOST_OFFSET: Final = 2**63 - 1

_libc: Final = ctypes.CDLL(None, use_errno=True)
_libc.ioctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p]


class Notification(NamedTuple):
    """A stopped system call."""

    id: int
    pid: int  # of the thread, in our pid namespace; 0: it has none there
    number: int  # of the call
    arch: int
    arguments: tuple[int, ...]

    @classmethod
    def parse(cls, data: bytes) -> Notification:
        """From struct seccomp_notif."""
        number_id, pid, _flags, number, arch, _pointer, *arguments = NOTIFICATION.unpack(data)
        return cls(number_id, pid, number, arch, tuple(arguments))


class Gone(Exception):
    """Nobody waits for this answer any more: the call was interrupted, or its thread ended."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """A notification, and the listener that it came from."""

    notification: Notification
    listener: int

    def is_valid(self) -> bool:
        """Whether its thread still waits; what was opened by its pid before is then that very thread's."""
        return is_valid(self.listener, self.notification.id)

    def answer(self, value: int) -> None:
        """Let the call return ``value``. Raises `Gone`."""
        _respond(self.listener, response(self.notification.id, value=value))

    def fail(self, number: int) -> None:
        """Let the call fail with the error ``number``. Raises `Gone`."""
        _respond(self.listener, response(self.notification.id, error=number))

    def resume(self) -> None:
        """Let the kernel do the call as if nobody had stopped it. Raises `Gone`."""
        _respond(self.listener, response(self.notification.id, resume=True))


def is_listener(descriptor: int) -> bool:
    """Whether a descriptor, of unknown origin, is one of these."""
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}") == _LINK
    except OSError:
        return False


def prefer_handover(listener: int) -> None:
    """Have the kernel wake us on the caller's CPU, which then waits anyway; does nothing before Linux 6.6."""
    with contextlib.suppress(OSError):
        fcntl.ioctl(listener, _SET_FLAGS, _SYNC_WAKE_UP)


def receive(listener: int, address: int) -> None:
    """Receive a notification into zeroed memory at ``address``; call it when `listener` is readable.

    The kernel marks it as received and copies it in one go: who is killed has it in memory, or it is not received.
    Raises `Gone` when it was taken back.
    """
    while _libc.ioctl(listener, _RECEIVE, address) != 0:
        number = ctypes.get_errno()
        if number == errno.ENOENT:
            raise Gone
        if number != errno.EINTR:
            raise OSError(number, os.strerror(number))


def events(listener: int) -> int:
    """What poll(2) tells at this moment: POLLIN, a call waits to be received; POLLHUP, there will be none any more."""
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    found = poll.poll(0)
    return found[0][1] if found else 0


def pass_on(listener: int) -> bool:
    """Receive one call and leave it to the kernel; False if it was taken back meanwhile."""
    buffer = ctypes.create_string_buffer(4 * NOTIFICATION.size)  # a newer kernel's record may be longer
    try:
        receive(listener, ctypes.addressof(buffer))
        Stopped(Notification.parse(buffer.raw[: NOTIFICATION.size]), listener).resume()
    except Gone:
        return False
    return True


def is_valid(listener: int, notification_id: int) -> bool:
    """Whether the thread that made this call still waits."""
    try:
        fcntl.ioctl(listener, _ID_VALID, struct.pack("=Q", notification_id))
    except OSError as error:
        if error.errno == errno.ENOENT:
            return False
        raise
    return True


def response(notification_id: int, *, value: int = 0, error: int = 0, resume: bool = False) -> bytes:
    """Return a struct seccomp_notif_resp."""
    return _RESPONSE.pack(notification_id, value, -error, _CONTINUE if resume else 0)


def open_memory(pid: int) -> int:
    """The memory of a thread; validate the notification afterwards. Raises `Gone`, OSError."""
    try:
        return os.open(f"/proc/{pid}/mem", os.O_WRONLY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ESRCH):
            raise Gone from error
        raise


def write_memory(memory: int, address: int, data: bytes) -> bool:
    """Write all of ``data``; False where the kernel would have said EFAULT."""
    if address > _MOST_OFFSET - len(data):
        return False
    try:
        return os.pwrite(memory, data, address) == len(data)
    except OSError as error:
        if error.errno in (errno.EIO, errno.EFAULT):
            return False
        raise


def _respond(listener: int, response: bytes) -> None:
    try:
        fcntl.ioctl(listener, _SEND, response)
    except OSError as error:
        # EINPROGRESS: somebody answered it before us.
        if error.errno in (errno.ENOENT, errno.EINPROGRESS):
            raise Gone from error
        raise
