"""The kernel's own affinity masks, as sched_getaffinity(2) returns them to a caller with a buffer of some length.

Sources: kernel/sched/syscalls.c (sched_getaffinity, compat_sys_sched_getaffinity), kernel/fork.c.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
from functools import cache
from typing import Final

from cgroup_model.parse import id_list
from procfs_fuse.seccomp.abi import SCHED_GETAFFINITY, abis

_MOST_BYTES: Final = 8192  # 65536 CPUs, which no kernel can have
_GET_PID_FROM_PIDNS: Final = 0x8004B706  # NS_GET_PID_FROM_PIDNS of include/uapi/linux/nsfs.h, since Linux 6.11

_libc: Final = ctypes.CDLL(None, use_errno=True)


def target(caller: int, wanted: int) -> int | None:
    """The thread that ``caller`` means by ``wanted`` in its own pid namespace; None if that cannot be told."""
    if wanted == 0:
        return caller
    try:
        namespace = os.open(f"/proc/{caller}/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return fcntl.ioctl(namespace, _GET_PID_FROM_PIDNS, wanted)
    except OSError:  # no such thread, which the kernel will tell itself; or an older kernel
        return None
    finally:
        os.close(namespace)


def mask(pid: int, length: int, bits: int) -> bytes | None:
    """What the kernel would write for a buffer of ``length`` bytes and longs of ``bits`` bits; None: it would fail."""
    if length % (bits // 8) or length * 8 < possible_cpus():
        return None
    buffer = ctypes.create_string_buffer(_MOST_BYTES)
    number = abis()[0].numbers[SCHED_GETAFFINITY]
    written = _libc.syscall(ctypes.c_long(number), ctypes.c_int(pid), ctypes.c_ulong(_MOST_BYTES), buffer)
    return buffer.raw[: min(written, length)] if written > 0 else None


@cache
def possible_cpus(sys_root: str = "/sys") -> int:
    """The highest number of a CPU that this machine may ever have, plus 1 (the kernel's nr_cpu_ids)."""
    with open(f"{sys_root}/devices/system/cpu/possible", "rb") as file:
        return max(id_list(file.read())) + 1
