"""Who must not wait for a CPU: the keeper and a worker until it has taken over, for whom all wait; who attaches."""

from __future__ import annotations

import contextlib
import os
from typing import Final

from procfs_fuse import syscalls

_HURRIED: Final = -10
_USUAL: Final = 0


def hurry(*, with_children: bool = False) -> None:
    """Come before others, where nobody has chosen another priority for us and we may; children do so only if wanted."""
    if os.getpriority(os.PRIO_PROCESS, 0) == _USUAL:
        with contextlib.suppress(OSError):
            if with_children:
                os.setpriority(os.PRIO_PROCESS, 0, _HURRIED)
            else:
                syscalls.set_own_nice(_HURRIED)
            weigh_session(os.getpid(), hurried=True)


def take_turns() -> None:
    """Undo `hurry`."""
    if os.getpriority(os.PRIO_PROCESS, 0) == _HURRIED:
        os.setpriority(os.PRIO_PROCESS, 0, _USUAL)


def weigh_session(pid: int, *, hurried: bool) -> None:
    """Let a process that has a session of its own come before others, or take its turn again, if we come first, too.

    Where the kernel shares CPUs between sessions first (autogroup, sched(7)), a process' own value counts only against
    others of its session. Without CAP_SYS_ADMIN it refuses changes that come soon after others: the keeper has that.
    """
    with contextlib.suppress(OSError):  # it has ended, may not be changed, or this kernel does not do so
        if os.getpriority(os.PRIO_PROCESS, 0) == _HURRIED and os.getsid(pid) == pid:
            with open(f"/proc/{pid}/autogroup", "w", encoding="ascii") as file:
                file.write(str(_HURRIED if hurried else _USUAL))
