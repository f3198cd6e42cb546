"""The way into the kernel's file systems."""

from __future__ import annotations

import os
from collections.abc import Iterator

from cgroup_model.mounts import parse_mountinfo
from cgscope.doctor.finding import Finding, note, ok, problem
from cgscope.doctor.machine import Machine

TITLE = "FUSE"


def check(machine: Machine) -> Iterator[Finding]:
    """Look at the device, and at who serves a /proc already."""
    yield _device(machine)
    yield from _time_outs(machine)
    yield from _lxcfs(machine)


def _device(machine: Machine) -> Finding:
    try:
        os.close(os.open(machine.path("dev/fuse"), os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        if not machine.is_root:
            return note("/dev/fuse", reason, "only procfs-fuse needs it, as root")
        load = "modprobe fuse; " if isinstance(error, FileNotFoundError) else ""
        return problem("/dev/fuse", reason, f"{load}in a container, give it the device (--device /dev/fuse)")
    return ok("/dev/fuse", "can be opened")


def _time_outs(machine: Machine) -> Iterator[Finding]:
    """With these the kernel ends a whole connection when one request takes longer (fs/fuse/dev.c)."""
    for name in ("default_request_timeout", "max_request_timeout"):
        try:
            with open(machine.path(f"proc/sys/fs/fuse/{name}"), "rb") as file:
                seconds = int(file.read())
        except (OSError, ValueError):
            continue
        if seconds:
            advice = f"sysctl fs.fuse.{name}=0, or keep it well above --request-timeout"
            yield note(f"fs.fuse.{name}", f"a request of {seconds} s ends a mount for good", advice)


def _lxcfs(machine: Machine) -> Iterator[Finding]:
    with open(machine.path("proc/self/mountinfo"), "rb") as file:
        mounts = parse_mountinfo(file.read())
    for mount in mounts:
        if mount.filesystem == "fuse.lxcfs":
            yield note("lxcfs", f"serves {mount.mountpoint}", "works side by side; a container shows the newest mount")
