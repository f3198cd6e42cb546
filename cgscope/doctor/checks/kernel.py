"""What the kernel can do, asked for feature by feature: distributions move features between versions."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
from collections.abc import Iterator
from typing import Final

from cgscope.doctor.finding import Finding, note, ok, unknown
from cgscope.doctor.machine import Machine

TITLE = "kernel"

# One number on every architecture that has them, include/uapi/asm-generic/unistd.h.
_MOUNT_CALLS: Final = {"open_tree": 428, "move_mount": 429}


def check(machine: Machine) -> Iterator[Finding]:
    """Look at optional features."""
    yield ok("release", f"{platform.release()} on {platform.machine()}")
    yield _mount_calls()
    yield _pressure(machine)
    yield _time_namespaces(machine)
    yield _notifications(machine)
    yield _log(machine)


def _mount_calls() -> Finding:
    libc = ctypes.CDLL(None, use_errno=True)
    missing = [name for name, number in _MOUNT_CALLS.items() if not _has(libc, number)]
    if missing:
        return note(
            "mounts into containers", f"no {' and '.join(missing)}", "an older, slower way is used; Linux 5.2 has both"
        )
    return ok("mounts into containers", "open_tree and move_mount")


def _has(libc: ctypes.CDLL, number: int) -> bool:
    """Whether a system call exists: no file is number -1, so that it can do nothing but refuse."""
    libc.syscall(number, -1, b"", -1, b"", 0)
    return ctypes.get_errno() != errno.ENOSYS


def _pressure(machine: Machine) -> Finding:
    subject = "pressure (PSI)"
    try:
        machine.text("proc/pressure/cpu")
    except FileNotFoundError:
        return note(subject, "not built into this kernel", "there will be no pressure files; CONFIG_PSI has them")
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            return note(subject, "switched off", "boot with psi=1")
        return unknown(subject, os.strerror(error.errno or 0))
    return ok(subject, "on")


def _time_namespaces(machine: Machine) -> Finding:
    if os.path.exists(machine.path("proc/self/ns/time")):
        return ok("time namespaces", "yes")
    advice = "inside `procfs-fuse run`, ps counts from the machine's boot"
    return note("time namespaces", "no", advice)


def _notifications(machine: Machine) -> Finding:
    subject = "system call notifications"
    try:
        actions = machine.text("proc/sys/kernel/seccomp/actions_avail").split()
    except OSError:
        actions = []
    if "user_notif" in actions:
        return ok(subject, "seccomp has them")
    return note(subject, "seccomp has none", "sysinfo(2) tells containers about the machine; Linux 5.0 has them")


def _log(machine: Machine) -> Finding:
    subject = "kernel log"
    try:
        os.close(os.open(machine.path("dev/kmsg"), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError as error:
        advice = "victims of OOM kills will have no names; needs root or CAP_SYSLOG"
        return note(subject, f"/dev/kmsg: {os.strerror(error.errno or 0)}", advice)
    return ok(subject, "can be read")
