"""Which process has just become another program: the kernel's process connector.

Netlink, family NETLINK_CONNECTOR; Documentation/driver-api/connector.rst, ``include/uapi/linux/cn_proc.h``. A message
is a netlink header (16 bytes), a connector header (20), and a struct proc_event: what (u32), cpu (u32), nanoseconds
(u64), and for an exec pid and tgid (s32 each), in the numbers of the first pid namespace. It is to be had only there,
in the first network namespace, with CAP_NET_ADMIN.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import socket
import struct
from typing import Final

_NETLINK_CONNECTOR: Final = 11
_CN_IDX_PROC: Final = 1
_CN_VAL_PROC: Final = 1
_NLMSG_DONE: Final = 3
_LISTEN: Final = 1  # PROC_CN_MCAST_LISTEN
_ACKNOWLEDGED: Final = 0  # PROC_EVENT_NONE
_EXECUTED: Final = 2  # PROC_EVENT_EXEC
_HEADERS: Final = struct.Struct("=IHHII" + "IIIIHH")
_EVENT: Final = struct.Struct("=IIQii")
_WHAT_OFFSET: Final = _HEADERS.size

_SO_ATTACH_FILTER: Final = 26
_SO_RCVBUFFORCE: Final = 33
_BUFFER_BYTES: Final = 4 << 20  # some ten thousand events
_ACKNOWLEDGEMENT_SECONDS: Final = 2.0
_MOST_MESSAGE_BYTES: Final = 256

# Classic BPF (include/uapi/linux/filter.h): load a word, jump if equal, return.
_LOAD, _JUMP_EQUAL, _RETURN = 0x20, 0x15, 0x06


class Lost(Exception):
    """There were more events than the kernel keeps: whoever listens has to look at everything again."""


class ExecEvents:
    """A subscription. Raises OSError when there is none to be had here."""

    def __init__(self) -> None:
        kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self._socket = socket.socket(socket.AF_NETLINK, kind, _NETLINK_CONNECTOR)
        try:
            self._filter()
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
            self._socket.bind((0, _CN_IDX_PROC))
            self._subscribe()
            self._poll = select.poll()
            self._poll.register(self._socket, select.POLLIN)
        except BaseException:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """The descriptor to poll for reading."""
        return self._socket.fileno()

    def close(self) -> None:
        """End the subscription."""
        self._socket.close()

    def pending(self) -> bool:
        """Whether something happened since the last `read`."""
        return bool(self._poll.poll(0))

    def read(self) -> dict[int, float]:
        """The processes that executed something since the last call, and when (CLOCK_MONOTONIC), without blocking.

        Raises `Lost`.
        """
        pids: dict[int, float] = {}
        while True:
            try:
                data = self._socket.recv(_MOST_MESSAGE_BYTES)
            except BlockingIOError:
                return pids
            except OSError as error:
                if error.errno == errno.ENOBUFS:
                    raise Lost from error
                raise
            what, pid, seconds = _parse(data)
            if what == _EXECUTED:
                pids[pid] = seconds

    def _filter(self) -> None:
        """Have the kernel drop all but what we want: a machine forks and ends more than it executes."""
        program = [
            (_LOAD, 0, 0, _WHAT_OFFSET),
            (_JUMP_EQUAL, 1, 0, _network_order(_EXECUTED)),
            (_JUMP_EQUAL, 0, 1, _network_order(_ACKNOWLEDGED)),
            (_RETURN, 0, 0, 0xFFFFFFFF),
            (_RETURN, 0, 0, 0),
        ]
        code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *one) for one in program))
        self._socket.setsockopt(
            socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", len(program), ctypes.addressof(code))
        )

    def _subscribe(self) -> None:
        operation = struct.pack("=I", _LISTEN)
        total = _HEADERS.size + len(operation)
        header = _HEADERS.pack(
            total, _NLMSG_DONE, 0, 0, os.getpid(), _CN_IDX_PROC, _CN_VAL_PROC, 0, 0, len(operation), 0
        )
        self._socket.send(header + operation)
        # Who may not listen is not told so but by silence, or by the error in the answer.
        ready, _, _ = select.select([self._socket], [], [], _ACKNOWLEDGEMENT_SECONDS)
        if not ready:
            raise OSError(errno.EPERM, "the process connector does not answer here")
        what, problem, _seconds = _parse(self._socket.recv(_MOST_MESSAGE_BYTES))
        if what == _ACKNOWLEDGED and problem:
            raise OSError(problem, os.strerror(problem))


def _parse(data: bytes) -> tuple[int | None, int, float]:
    """What happened, to which process, and when; of an acknowledgement the error number in the place of the process."""
    if len(data) < _HEADERS.size + _EVENT.size:
        return None, 0, 0.0
    what, _cpu, nanoseconds, first, second = _EVENT.unpack_from(data, _HEADERS.size)
    return what, first if what == _ACKNOWLEDGED else second, nanoseconds / 1e9


def _network_order(number: int) -> int:
    """A number of this machine's order as BPF loads it."""
    return int.from_bytes(struct.pack("=I", number), "big")
