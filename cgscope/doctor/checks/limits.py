"""Limits of the machine that many containers run into."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from typing import Final

from cgroup_model.mounts import OutOfSight
from cgscope.doctor.finding import Finding, note, ok, unknown
from cgscope.doctor.machine import Machine

TITLE = "limits"

_ENOUGH_FILES: Final = 4096
_WATCHES_PER_CGROUP: Final = 3  # its directory and the files that tell events


def check(machine: Machine) -> Iterator[Finding]:
    """Look at descriptors and at inotify."""
    yield _files()
    for name, needed in (("max_user_instances", 16), ("max_user_watches", _WATCHES_PER_CGROUP * _cgroups(machine))):
        yield _inotify(machine, name, needed)


def _files() -> Finding:
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < _ENOUGH_FILES:
        advice = "files are opened and closed for each look, which is slower; raise LimitNOFILE= or ulimit -Hn"
        return note("open files", str(hard), advice)
    return ok("open files", "unlimited" if hard == resource.RLIM_INFINITY else str(hard))


def _inotify(machine: Machine, name: str, needed: int) -> Finding:
    subject = f"inotify {name}"
    try:
        allowed = int(machine.text("proc/sys/fs/inotify", name))
    except (OSError, ValueError):
        return unknown(subject, "cannot be read")
    if allowed < needed:
        advice = f"new cgroups are looked for every few seconds; sysctl fs.inotify.{name}={2 * needed}"
        return note(subject, f"{allowed} is less than the {needed} wanted", advice)
    return ok(subject, str(allowed))


def _cgroups(machine: Machine) -> int:
    try:
        return sum(1 for _ in machine.tree.walk())
    except OutOfSight:
        return 0
