"""Capabilities of this process: which it holds, and giving up those that it has no use for; see capabilities(7)."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Collection
from typing import Final

NUMBERS: Final = {
    "CAP_DAC_OVERRIDE": 1,
    "CAP_DAC_READ_SEARCH": 2,
    "CAP_NET_BIND_SERVICE": 10,
    "CAP_NET_ADMIN": 12,
    "CAP_SYS_CHROOT": 18,
    "CAP_SYS_PTRACE": 19,
    "CAP_SYS_ADMIN": 21,
    "CAP_SYS_NICE": 23,
    "CAP_SYS_RESOURCE": 24,
    "CAP_SYSLOG": 34,
}
"""Those that matter to our programs, as include/uapi/linux/capability.h numbers them."""

_PR_CAPBSET_DROP: Final = 24
_PR_GET_SECUREBITS: Final = 27
_SECBIT_NOROOT: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38
_VERSION_3: Final = 0x20080522


def held(status: str) -> frozenset[str]:
    """Tell the effective ones of `NUMBERS` from the text of a ``/proc/PID/status``."""
    effective = int(_fields(status)["CapEff"], 16)
    return frozenset(name for name, number in NUMBERS.items() if effective >> number & 1)


def keep_only(names: Collection[str]) -> frozenset[str]:
    """Give up all other capabilities of this thread and of those it starts, for good; return what is held then.

    To be called before the first other thread is started. Programs that are executed get no more either. Raises
    OSError when the kernel refuses, which it has no reason to.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    kept = _mask(names)
    for number in range(64):
        if not kept >> number & 1:
            libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0)  # refused to ordinary users, who have nothing to bound
    _done(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _hold_at_most(kept)
    return held(_status())


def lay_down(names: Collection[str]) -> None:
    """Give up all other capabilities like `keep_only`, but until another program is executed: see `come_back`."""
    _hold_at_most(_mask(names))


def come_back() -> bool:
    """Tell whether a program that this process executes, as root, gets the capabilities that were laid down."""
    fields = _fields(_status())
    is_root = int(fields["Uid"].split()[1]) == 0
    securebits = ctypes.CDLL(None).prctl(_PR_GET_SECUREBITS, 0, 0, 0, 0)
    return is_root and fields["NoNewPrivs"].strip() == "0" and not securebits & _SECBIT_NOROOT


def _hold_at_most(kept: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; the low halves, then the high ones
    _done(libc.capget(header, sets))
    for half in range(2):
        for which in range(2):
            sets[half * 3 + which] &= kept >> 32 * half & 0xFFFFFFFF
        sets[half * 3 + 2] = 0
    _done(libc.capset(header, sets))


def _mask(names: Collection[str]) -> int:
    return sum(1 << NUMBERS[name] for name in names)


def _fields(status: str) -> dict[str, str]:
    return dict(line.split(":", 1) for line in status.splitlines() if ":" in line)


def _status() -> str:
    with open("/proc/thread-self/status", encoding="utf-8", errors="replace") as file:
        return file.read()


def _done(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
