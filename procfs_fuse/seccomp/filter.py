"""The filter that stops our calls, and its installation in the calling thread.

Sources: seccomp(2), include/uapi/linux/seccomp.h, include/uapi/linux/filter.h.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Collection, Sequence
from typing import Final

from procfs_fuse.seccomp.abi import Abi, abis

_SYSCALL: Final = {"x86_64": 317, "s390x": 348}  # seccomp(2); everything newer uses the generic table's number
_SYSCALL_GENERIC: Final = 277
_SET_MODE_FILTER: Final = 1
_SPEC_ALLOW: Final = 1 << 2  # without it, kernels before 5.16 make every program of the container slower
_NEW_LISTENER: Final = 1 << 3
_WAIT_KILLABLE_RECV: Final = 1 << 5  # since Linux 5.19: once received, only fatal signals interrupt a call

_ALLOW: Final = 0x7FFF0000
_USER_NOTIF: Final = 0x7FC00000

_LOAD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
_JUMP_IF_EQUAL: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_RETURN: Final = 0x06  # BPF_RET | BPF_K
_NUMBER_OFFSET: Final = 0  # in struct seccomp_data
_ARCH_OFFSET: Final = 4

_INSTRUCTION: Final = struct.Struct("=HBBI")  # struct sock_filter


class _Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


class NotPossible(Exception):
    """This thread cannot have such a filter; the message says why, and what to do."""


def program(calls: Collection[str], interfaces: Sequence[Abi]) -> bytes:
    """A program of struct sock_filter that notifies of ``calls`` and allows everything else."""
    code = _INSTRUCTION.pack(_LOAD, 0, 0, _ARCH_OFFSET)
    for interface in interfaces:
        block = _block([number for name, number in interface.numbers.items() if name in calls])
        code += _INSTRUCTION.pack(_JUMP_IF_EQUAL, 0, len(block) // _INSTRUCTION.size, interface.audit_arch) + block
    return code + _INSTRUCTION.pack(_RETURN, 0, 0, _ALLOW)


def _block(numbers: Collection[int]) -> bytes:
    code = _INSTRUCTION.pack(_LOAD, 0, 0, _NUMBER_OFFSET)
    for number in numbers:
        code += _INSTRUCTION.pack(_JUMP_IF_EQUAL, 0, 1, number) + _INSTRUCTION.pack(_RETURN, 0, 0, _USER_NOTIF)
    return code + _INSTRUCTION.pack(_RETURN, 0, 0, _ALLOW)


def install(calls: Collection[str]) -> int:
    """Stop these calls of this thread, and of all that it starts; the listener's descriptor. Raises `NotPossible`.

    Takes CAP_SYS_ADMIN or no_new_privs.
    """
    interfaces = abis()
    if not interfaces:
        raise NotPossible(f"sysinfo(2) is not known on {os.uname().machine}")
    code = program(calls, interfaces)
    flags = _NEW_LISTENER | _SPEC_ALLOW
    try:
        try:
            return _seccomp(code, flags | _WAIT_KILLABLE_RECV)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            return _seccomp(code, flags)
    except OSError as error:
        raise NotPossible(_why(error)) from error


def _seccomp(code: bytes, flags: int) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    number = _SYSCALL.get(os.uname().machine, _SYSCALL_GENERIC)
    arguments = _Program(len(code) // _INSTRUCTION.size, code)
    words = map(ctypes.c_ulong, (number, _SET_MODE_FILTER, flags))
    listener: int = libc.syscall(*words, ctypes.byref(arguments))
    if listener < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return listener


def _why(error: OSError) -> str:
    if error.errno == errno.EBUSY:
        return "another process outside listens to its system calls already, and the kernel allows only one"
    if error.errno in (errno.EINVAL, errno.ENOSYS):
        return "this kernel does not tell of system calls (CONFIG_SECCOMP_FILTER, Linux 5.5)"
    return f"the kernel refuses the filter: {error.strerror}"
