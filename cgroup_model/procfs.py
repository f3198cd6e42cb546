"""The machine's ``/proc/PID`` directories, through one descriptor of ``/proc``.

The descriptor is opened before anything is mounted over ``/proc``, so that the answers stay the machine's own.
Only files that never wait for the process they describe are read: ``stat``, ``status``, ``cgroup`` and the
namespace links (not ``mem``, ``cmdline``, ``environ`` or ``maps``, which take locks that a container can hold).

Kernel: fs/proc/array.c (stat), fs/nsfs.c (namespace ioctls), proc_pid_stat(5).
"""

from __future__ import annotations

import errno
import fcntl
import os
from typing import Self

from cgroup_model.record import dataclass

# include/uapi/linux/nsfs.h: _IOR(0xb7, nr, int); since Linux 6.11 ("nsfs: add pid translation ioctls").
_NS_GET_TGID_FROM_PIDNS = 0x8004B707
_NS_GET_PID_IN_PIDNS = 0x8004B708

_STAT_BYTES = 2048  # a stat line is under 600 bytes, the task's name at most 64 of them


class NoSuchTask(Exception):
    """The task ended before it could be read."""


@dataclass(frozen=True, slots=True)
class TaskStat:
    """The fields of ``/proc/PID/stat`` that are used here."""

    state: str  # R, S, D, Z, T, t, X, I
    starttime_ticks: int  # since boot, in USER_HZ


def parse_stat(line: bytes) -> TaskStat:
    """Parse ``/proc/PID/stat``; the task's name may hold spaces, newlines and brackets.

    Raises ValueError on anything else than a whole line.
    """
    fields = line[line.rindex(b")") + 2 :].split()
    return TaskStat(state=fields[0].decode("ascii"), starttime_ticks=int(fields[19]))


class Proc:
    """One mounted procfs. Not for sharing between threads that close it."""

    def __init__(self, root: str = "/proc") -> None:
        self.root = root
        self._fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self.ticks_per_second = os.sysconf("SC_CLK_TCK")
        self.own_pid_namespace = self.namespace("self", "pid")
        self.own_cgroup_namespace = self.namespace("self", "cgroup")
        self.own_time_namespace = self.namespace("self", "time")

    def close(self) -> None:
        """Close the descriptor; the object is of no use afterwards."""
        os.close(self._fd)

    def read(self, name: str, size: int = 65536) -> bytes:
        """The first ``size`` bytes of ``/proc/NAME``. Raises `NoSuchTask` when the task has ended."""
        try:
            fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._fd)
        except OSError as error:
            raise _translated(error, name) from None
        try:
            return os.read(fd, size)
        except OSError as error:
            raise _translated(error, name) from None
        finally:
            os.close(fd)

    def stat(self, pid: int) -> TaskStat:
        """State and start time of a process (or thread: its own state, its group's names)."""
        try:
            return parse_stat(self.read(f"{pid}/stat", _STAT_BYTES))
        except (ValueError, IndexError):
            raise NoSuchTask(pid) from None  # an empty answer: the task ended while it was read

    def thread_stat(self, tid: int) -> TaskStat:
        """Like `stat`, by the path on which the kernel does not sum over the whole thread group."""
        try:
            return parse_stat(self.read(f"{tid}/task/{tid}/stat", _STAT_BYTES))
        except (ValueError, IndexError):
            raise NoSuchTask(tid) from None

    def start_seconds(self, pid: int) -> float:
        """When the process started, in seconds of CLOCK_BOOTTIME."""
        return self.stat(pid).starttime_ticks / self.ticks_per_second

    def namespace(self, pid: int | str, kind: str) -> str | None:
        """A namespace's name such as ``pid:[4026531836]``; None when it may not be read."""
        try:
            return os.readlink(f"{pid}/ns/{kind}", dir_fd=self._fd)
        except OSError:
            return None

    def namespace_pids(self, pid: int) -> tuple[int, ...]:
        """The task's numbers, from this pid namespace down to its own (``NSpid`` of status)."""
        for line in self.read(f"{pid}/status").splitlines():
            if line.startswith(b"NSpid:"):
                return tuple(map(int, line.split()[1:]))
        return (pid,)

    def boot_offset_seconds(self, pid: int) -> float:
        """How far the boot clock that a process sees is ahead of ours (time_namespaces(7)); mostly behind, so < 0.

        The kernel moves uptime, start times and ``btime`` by it. 0 in our time namespace and before Linux 5.6.
        """
        if self.namespace(pid, "time") in (None, self.own_time_namespace):
            return 0.0
        for line in self.read(f"{pid}/timens_offsets").splitlines():
            clock, seconds, nanoseconds = line.split()
            if clock in (b"boottime", b"7"):
                return int(seconds) + int(nanoseconds) / 1e9
        return 0.0

    def open_pid_namespace(self, pid: int) -> PidNamespace:
        """The pid namespace of a task. Raises `NoSuchTask`."""
        try:
            return PidNamespace(self, os.open(f"{pid}/ns/pid", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._fd))
        except OSError as error:
            raise _translated(error, str(pid)) from None

    def init_of(self, pid: int) -> int | None:
        """Pid, as seen here, of the init of a task's pid namespace; None when it cannot be told."""
        with self.open_pid_namespace(pid) as namespace:
            return namespace.init()

    def pids(self) -> list[int]:
        """All processes that are visible here."""
        return [int(name) for name in os.listdir(self._fd) if name.isdigit()]


class PidNamespace:
    """An open pid namespace. Kept open only briefly: a descriptor keeps a dead namespace alive."""

    def __init__(self, proc: Proc, fd: int) -> None:
        self._proc = proc
        self._fd = fd

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        os.close(self._fd)

    def init(self) -> int | None:
        """Pid, as seen from the reader's namespace, of this namespace's process 1."""
        try:
            return fcntl.ioctl(self._fd, _NS_GET_TGID_FROM_PIDNS, 1)
        except OSError as error:
            if error.errno == errno.ESRCH:
                return None
            return self._init_by_scan()

    def number_of(self, pid: int) -> int | None:
        """A task's number inside this namespace; None when it is not in it (any more)."""
        try:
            return fcntl.ioctl(self._fd, _NS_GET_PID_IN_PIDNS, pid)
        except OSError as error:
            if error.errno == errno.ESRCH:
                return None
        try:  # before Linux 6.11
            return self._proc.namespace_pids(pid)[-1]
        except NoSuchTask:
            return None

    def _init_by_scan(self) -> int | None:
        """Before Linux 6.11: look for the process that is number 1 in this namespace."""
        own = os.fstat(self._fd).st_ino
        for pid in self._proc.pids():
            try:
                if self._proc.namespace(pid, "pid") == f"pid:[{own}]" and self._proc.namespace_pids(pid)[-1] == 1:
                    return pid
            except NoSuchTask:
                continue
        return None


def _translated(error: OSError, name: str) -> Exception:
    """ENOENT and ESRCH mean that the task is gone; everything else stays what it is."""
    if error.errno in (errno.ENOENT, errno.ESRCH):
        return NoSuchTask(name)
    return error
