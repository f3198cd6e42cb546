"""Whether a process's container is ready to be attached: its own root and /proc in place, its program running.

A runtime's first process in a container still sees the machine's tree, then changes its root, and at last executes the
container's program. What is mounted before that may be covered again, or land on the machine's side of the change.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from procfs_fuse.attach import host
from procfs_fuse.attach.mountinfo import MountLine

_FLAGS_FIELD = 6  # of /proc/PID/stat, counted from the state (proc_pid_stat(5), field 9)
_PF_FORKNOEXEC = 0x40  # include/linux/sched.h: "Forked but didn't exec"
_STUB_INIT = b"(sd-stubinit)"  # of `systemd-nspawn --as-pid2`: executes nothing, its child has the program


def runs_its_program(pid: int, proc_root: str = "/proc") -> bool:
    """Whether a process has executed something since it was forked; a runtime's helper that is to become one has not.

    Raises OSError when it is gone.
    """
    with open(f"{proc_root}/{pid}/stat", "rb") as file:
        head, _, tail = file.read().rpartition(b")")
    name = head.partition(b"(")[2]
    return name == _STUB_INIT or not int(tail.split()[_FLAGS_FIELD]) & _PF_FORKNOEXEC


def has_own_root(pid: int, proc_root: str = "/proc") -> bool:
    """Whether a process's root is neither the machine's nor ours. Raises OSError when it is gone."""
    status = os.stat(f"{proc_root}/{pid}/root")
    return (status.st_dev, status.st_ino) not in host.roots(proc_root)


def has_proc(lines: Iterable[MountLine]) -> bool:
    """Whether a procfs is mounted on /proc."""
    top = None
    for line in lines:
        top = line if line.mountpoint == "/proc" else top
    return top is not None and top.fstype == "proc"


def is_attached(lines: Iterable[MountLine], source: str, devices: Iterable[str]) -> bool:
    """Whether files of a living instance are there, and none of a dead one."""
    living = set(devices)
    ours = {line.device for line in lines if line.is_ours and line.source == source and line.root != "/"}
    return bool(ours) and ours <= living


def is_server(lines: Iterable[MountLine], state: str) -> bool:
    """Whether an instance's private mount is there, at its own place: a pod that serves it, is to, or was.

    It reads the machine's files, which must not be its own answers.
    """
    return any(line.is_ours and line.root == "/" and line.mountpoint == state for line in lines)
