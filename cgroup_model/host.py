"""The machine's own files in ``/proc`` and ``/sys``, raw.

The descriptors are opened once, before anything of ours is mounted over these files, and read again at offset 0: so the
host's values stay the host's, and a read is one or two system calls.

Kernel: fs/proc/meminfo.c, stat.c, cpuinfo.c; mm/swapfile.c, vmstat.c; block/genhd.c; kernel/pid.c; drivers/base/cpu.c.
Sample of ``/sys/devices/system/cpu/online``: ``0-3,8``.
"""

from __future__ import annotations

import mmap
import os
import re
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, Self

from cgroup_model.parse import ParseError, id_list, integer
from cgroup_model.snapshot import Host, Need
from cgroup_model.sysfiles import cpu_tree, node_tree

_CPUINFO_SECONDS: Final = 1.0  # on x86 every core is asked for its clock: a millisecond per few dozen CPUs
_FIRST_READ: Final = 16384  # bytes; several times /proc/meminfo
_CPU_LINE: Final = re.compile(rb"^cpu(\d{1,6}) ", re.MULTILINE)

# Plain numbers: operators of enum.Flag cost more than reading a file does, and `value` is a property in Python.
_MEMINFO: Final = Need.HOST_MEMINFO.value
_STAT: Final = Need.HOST_STAT.value
_CPUINFO: Final = Need.HOST_CPUINFO.value
_SWAPS: Final = Need.HOST_SWAPS.value
_DISKSTATS: Final = Need.HOST_DISKSTATS.value
_VMSTAT: Final = Need.HOST_VMSTAT.value
_PARTITIONS: Final = Need.HOST_PARTITIONS.value
_CPU_FILES: Final = Need.HOST_CPU_FILES.value
_NODE_FILES: Final = Need.HOST_NODE_FILES.value
_LIMITS: Final = Need.HOST_LIMITS.value
ONLINE: Final = (Need.CPUS | Need.CPU_TIMES | Need.HOST_STAT | Need.HOST_CPUINFO | Need.HOST_CPU_FILES).value
"""Needs of which any makes `Host.online_cpus` known."""


class HostFiles:
    """Open descriptors of the host's files; a file that this machine lacks gives None."""

    def __init__(
        self, proc_root: str = "/proc", sys_root: str = "/sys", *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._meminfo = _File(f"{proc_root}/meminfo")
        self._stat = _File(f"{proc_root}/stat")
        self._cpuinfo = _File(f"{proc_root}/cpuinfo", in_records=True)
        self._swaps = _File(f"{proc_root}/swaps", in_records=True)
        self._diskstats = _File(f"{proc_root}/diskstats", in_records=True)
        self._vmstat = _File(f"{proc_root}/vmstat", in_records=True)
        self._partitions = _File(f"{proc_root}/partitions", in_records=True)
        self._pid_max = _File(f"{proc_root}/sys/kernel/pid_max")
        self._threads_max = _File(f"{proc_root}/sys/kernel/threads-max")
        self._online = _File(f"{sys_root}/devices/system/cpu/online")
        self._cpu_files = cpu_tree(sys_root)
        self._node_files = node_tree(sys_root)
        self._kept_cpuinfo: tuple[float, bytes | None] | None = None
        self._plans: dict[int, tuple[tuple[str, Callable[[], object]], ...]] = {}  # by the value of what is needed

    def read(self, needs: Need) -> Host:
        """Read what ``needs`` asks for, each file once."""
        wanted: int = needs._value_
        readers = self._plans.get(wanted)
        if readers is None:
            readers = self._plans[wanted] = tuple(self._readers(wanted))
        found: dict[str, Any] = {part: read() for part, read in readers}
        if wanted & ONLINE:
            online = found["online_cpus"] = self._read_online(found.get("stat"))
            if wanted & _CPU_FILES:
                found["cpu_files"] = self._cpu_files.read(online)
        return Host(**found, page_bytes=mmap.PAGESIZE)

    def _readers(self, wanted: int) -> Iterator[tuple[str, Callable[[], object]]]:
        """List fields of `Host` and how they are read, but for those that have to do with CPUs that come and go."""
        for need, part, read in (
            (_STAT, "stat", self._stat.read),
            (_MEMINFO, "meminfo", self._meminfo.read),
            (_CPUINFO, "cpuinfo", self._read_cpuinfo),
            (_SWAPS, "swaps", self._swaps.read),
            (_DISKSTATS, "diskstats", self._diskstats.read),
            (_VMSTAT, "vmstat", self._vmstat.read),
            (_PARTITIONS, "partitions", self._partitions.read),
            (_NODE_FILES, "node_files", lambda: self._node_files.read(int(self._clock()))),
            (_LIMITS, "pid_max", lambda: _number(self._pid_max.read())),
            (_LIMITS, "threads_max", lambda: _number(self._threads_max.read())),
        ):
            if wanted & need:
                yield part, read

    def close(self) -> None:
        """Close all descriptors; every file is then missing."""
        for file in vars(self).values():
            if isinstance(file, _File):
                file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read_cpuinfo(self) -> bytes | None:
        now = self._clock()
        if self._kept_cpuinfo is None or now - self._kept_cpuinfo[0] >= _CPUINFO_SECONDS:
            self._kept_cpuinfo = (now, self._cpuinfo.read())
        return self._kept_cpuinfo[1]

    def _read_online(self, stat: bytes | None) -> tuple[int, ...]:
        """List the CPUs that are online; where sysfs is not mounted, those that ``/proc/stat`` counts."""
        try:
            listed = id_list(self._online.read() or b"")
        except ParseError:
            listed = ()
        if not listed:
            counted = _CPU_LINE.findall(stat or self._stat.read() or b"")
            listed = tuple(sorted({int(number) for number in counted}))
        return listed or (0,)


class _File:
    """One file, opened at once and kept; unreadable at any time means None.

    A file of one record (seq_file's single_open) comes whole if it fits, and to ask for its end would have it made
    again; a file ``in_records`` comes a page or so at a time.
    """

    def __init__(self, path: str, *, in_records: bool = False) -> None:
        self._size = _FIRST_READ
        self._in_records = in_records
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except (OSError, ValueError):  # ValueError: a NUL byte in an injected root
            self._fd = -1

    def read(self) -> bytes | None:
        """Read the file as it is now."""
        if self._fd < 0:
            return None
        try:
            data = os.pread(self._fd, self._size, 0)
            if len(data) < self._size and not self._in_records:
                return data
            parts = [data]
            offset = len(data)
            while part := os.pread(self._fd, self._size, offset):
                parts.append(part)
                offset += len(part)
        except OSError:
            return None
        self._size = max(self._size, 2 * offset)
        return b"".join(parts) if len(parts) > 1 else data

    def close(self) -> None:
        """Close the descriptor."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _number(data: bytes | None) -> int | None:
    try:
        return None if data is None else integer(data)
    except ParseError:
        return None
