"""System calls that Python 3.11 does not offer, as functions that raise OSError.

Sources: mount(2), umount(2), unshare(2), setns(2), pivot_root(2), prctl(2) and the constants of
``include/uapi/linux/mount.h``, ``sched.h``, ``sched/types.h`` and ``prctl.h``.
"""

from __future__ import annotations

import ctypes
import os
import struct
from typing import Final

MS_RDONLY: Final = 0x1
MS_NOSUID: Final = 0x2
MS_NODEV: Final = 0x4
MS_NOEXEC: Final = 0x8
MS_REMOUNT: Final = 0x20
MS_BIND: Final = 0x1000
MS_REC: Final = 0x4000
MS_PRIVATE: Final = 1 << 18

MNT_DETACH: Final = 0x2
UMOUNT_NOFOLLOW: Final = 0x8

CLONE_NEWTIME: Final = 0x00000080
CLONE_NEWNS: Final = 0x00020000
CLONE_NEWCGROUP: Final = 0x02000000
CLONE_NEWUTS: Final = 0x04000000
CLONE_NEWIPC: Final = 0x08000000
CLONE_NEWPID: Final = 0x20000000

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4
_PR_SET_NAME: Final = 15
_PR_SET_CHILD_SUBREAPER: Final = 36
_PR_SET_NO_NEW_PRIVS: Final = 38

# pivot_root has no wrapper in glibc. Its number by machine: arch/*/entry/syscalls/*.tbl; everything newer uses
# the generic table of include/uapi/asm-generic/unistd.h, where it is 41.
_PIVOT_ROOT_NUMBERS: Final = {"x86_64": 155, "i686": 217, "i386": 217, "armv7l": 218, "ppc64le": 203, "s390x": 217}
_PIVOT_ROOT_GENERIC: Final = 41

# Nor has sched_setattr, before glibc 2.41.
_SCHED_SETATTR_NUMBERS: Final = {"x86_64": 314, "i686": 351, "i386": 351, "armv7l": 380, "ppc64le": 355, "s390x": 345}
_SCHED_SETATTR_GENERIC: Final = 274
_SCHED_ATTR: Final = struct.Struct("=IIQiIQQQ")  # size, policy, flags, nice, priority, runtime, deadline, period
_SCHED_FLAG_RESET_ON_FORK: Final = 0x1

_libc: Final = ctypes.CDLL(None, use_errno=True)


def _check(result: int, *paths: str) -> None:
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), *paths[:1])


def _prctl(option: int, argument: ctypes.c_ulong | ctypes.c_char_p) -> None:
    # prctl is variadic and takes unsigned longs; some options insist on the unused ones being zero.
    unused = ctypes.c_ulong(0)
    _check(_libc.prctl(option, argument, unused, unused, unused))


def mount(source: str, target: str, filesystem: str = "", flags: int = 0, data: str = "") -> None:
    """Mount or remount (mount(2)); empty texts are passed as NULL. The error names ``target``."""
    texts = [os.fsencode(text) or None for text in (source, target, filesystem, data)]
    _check(_libc.mount(*texts[:3], ctypes.c_ulong(flags), texts[3]), target)


def umount(target: str, flags: int = 0) -> None:
    """Call umount2(2) without following a symbolic link at the end of ``target``."""
    _check(_libc.umount2(os.fsencode(target), flags | UMOUNT_NOFOLLOW), target)


def unshare(flags: int) -> None:
    """Leave the namespaces that ``flags`` name for new ones (unshare(2))."""
    _check(_libc.unshare(flags))


def setns(descriptor: int, kind: int = 0) -> None:
    """Enter the namespace (or, with a pidfd, the namespaces) that ``descriptor`` stands for (setns(2))."""
    _check(_libc.setns(descriptor, kind))


def pivot_root(new_root: str, put_old: str) -> None:
    """Make ``new_root`` the root of this mount namespace and move the old one to ``put_old`` (pivot_root(2))."""
    number = _PIVOT_ROOT_NUMBERS.get(os.uname().machine, _PIVOT_ROOT_GENERIC)
    _check(_libc.syscall(ctypes.c_long(number), os.fsencode(new_root), os.fsencode(put_old)), new_root)


def set_own_nice(nice: int) -> None:
    """Give the calling thread a nice value; what it starts begins with the usual one (sched_setattr(2)).

    Not with sched_setscheduler(2): of that systemd's RestrictRealtime= refuses whatever is no policy that it knows.
    """
    number = _SCHED_SETATTR_NUMBERS.get(os.uname().machine, _SCHED_SETATTR_GENERIC)
    attributes = _SCHED_ATTR.pack(_SCHED_ATTR.size, os.SCHED_OTHER, _SCHED_FLAG_RESET_ON_FORK, nice, 0, 0, 0, 0)
    _check(_libc.syscall(ctypes.c_long(number), ctypes.c_int(0), attributes, ctypes.c_uint(0)))


def set_parent_death_signal(number: int) -> None:
    """Be sent signal ``number`` when the thread that forked this process ends; a change of user forgets it."""
    _prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(number))


def set_not_dumpable() -> None:
    """Let nobody but root of this machine look into this process: no ptrace, no ``/proc/PID/fd`` or ``mem``."""
    _prctl(_PR_SET_DUMPABLE, ctypes.c_ulong(0))


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends."""
    _prctl(_PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1))


def set_process_name(name: str) -> None:
    """Set the name that ``ps -o comm`` shows, of which the kernel keeps 15 bytes."""
    _prctl(_PR_SET_NAME, ctypes.c_char_p(os.fsencode(name)))


def set_no_new_privileges() -> None:
    """Promise that neither this process nor what it executes gains privileges, by set-user-id files for example."""
    _prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1))
