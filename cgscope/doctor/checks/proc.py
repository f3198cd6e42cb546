"""The kernel's /proc, which everything else is read from."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from cgroup_model.mounts import parse_mountinfo
from cgscope.doctor.finding import Finding, note, ok, problem
from cgscope.doctor.machine import Machine

TITLE = "/proc"

_NEEDED: Final = ("self/mountinfo", "self/status", "self/cgroup", "meminfo", "stat")
_SHOWN: Final = 3  # names in one line
FIRST_PID_NAMESPACE: Final = 0xEFFFFFFC  # its inode on every machine (PROC_PID_INIT_INO, include/linux/proc_ns.h)


def check(machine: Machine) -> Iterator[Finding]:
    """Look whether it is there, whole, and the machine's own."""
    if missing := [name for name in _NEEDED if not _can_be_read(machine.path("proc", name))]:
        advice = "not mounted (`mount -t proc proc /proc`), or covered by another mount; nothing else can be looked at"
        yield problem("procfs", f"cannot be read: {_listed(missing)}", advice)
        return
    yield ok("procfs", "can be read")
    yield from _covered(machine)
    yield from _namespace(machine)
    if not _can_be_read(machine.path("proc/1/stat")):
        yield note("other processes", "are hidden (hidepid)", "counts of processes are too low; ask as root")


def _can_be_read(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return bool(file.read(1))
    except OSError:
        return False


def _covered(machine: Machine) -> Iterator[Finding]:
    """Files of a container in the place of the machine's: what is measured is not what one thinks."""
    with open(machine.path("proc/self/mountinfo"), "rb") as file:
        mounts = [one for one in parse_mountinfo(file.read()) if one.filesystem.startswith("fuse.")]
    if covered := [one.mountpoint for one in mounts if one.mountpoint.startswith("/proc/")]:
        found = f"{_listed(covered)}: served by {mounts[0].filesystem.removeprefix('fuse.')}"
        yield note("covered files", found, "here a container is shown, not the machine: ask on the machine itself")


def _namespace(machine: Machine) -> Iterator[Finding]:
    try:
        is_machines = os.stat(machine.path("proc/self/ns/pid")).st_ino == FIRST_PID_NAMESPACE
    except OSError:
        return
    if not is_machines:
        advice = (
            "ask on the machine itself; or give this container the machine's (--pid host) and rights (--privileged)"
        )
        yield note("pid namespace", "a container's: the machine's other processes are not seen", advice)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
