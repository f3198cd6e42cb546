"""The processes of a cgroup: moving, freezing, killing."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
from collections.abc import Callable, Iterable

from cgroup_model.control.errors import failure, reported
from cgroup_model.control.group import WAIT_SECONDS, Group, within
from cgroup_model.dialects import dialect_for
from cgroup_model.mounts import Mounts
from cgroup_model.source import CgroupGone, Missing


def add_process(mounts: Mounts, path: str, pid: int) -> None:
    """Move a process, with all its threads, into the cgroup in every hierarchy."""
    group = Group(mounts, path)
    why = {
        errno.EBUSY: "it hands controllers on to children, and then cgroup v2 lets it hold no processes: use a child"
    }
    for hierarchy in group.hierarchies:
        with reported(f"move process {pid} into", path, why):
            dialect_for(hierarchy).write_procs(group.source, hierarchy.directory(path), pid)


def freeze(mounts: Mounts, path: str, timeout_seconds: float = WAIT_SECONDS) -> None:
    """Stop all tasks of the subtree and wait until they rest; when they do not in time, thaw them and fail."""
    group = Group(mounts, path)
    controller = group.freezer
    with group.changing(controller, "freeze") as dialect:
        dialect.write_freeze(group.source, group.dirs, frozen=True)
        if within(timeout_seconds, lambda: dialect.read_core(group.source, group.dirs).frozen is not False):
            return
        dialect.write_freeze(group.source, group.dirs, frozen=False)
    why = f"tasks did not come to rest within {timeout_seconds:g} s (they wait for a device or a file system)"
    raise failure("freeze", path, f"{why}; they run on, try again")


def thaw(mounts: Mounts, path: str) -> None:
    """Let the tasks of the subtree run again."""
    group = Group(mounts, path)
    with group.changing(group.freezer, "thaw") as dialect:
        dialect.write_freeze(group.source, group.dirs, frozen=False)


def procs(mounts: Mounts, path: str) -> list[int]:
    """List the processes of the subtree in any hierarchy, ascending.

    A process of a pid namespace that ours does not contain has no number here and is listed as 0, once.
    """
    group = Group(mounts, path)
    with reported("list the processes of", path):
        return group.procs()


def kill(mounts: Mounts, path: str, timeout_seconds: float = WAIT_SECONDS) -> None:
    """Send SIGKILL to every process of the subtree until none is left; frozen ones are thawed to die."""
    group = Group(mounts, path)
    with reported("kill", path):
        if os.getpid() in group.procs():
            raise failure("kill", path, "this process itself is in it")
        if within(timeout_seconds, lambda: _killed(group)):
            return
        left = ", ".join(map(str, group.procs()))
    why = "it waits for a device or a file system, or belongs to another pid namespace"
    raise failure("kill", path, f"still there after {timeout_seconds:g} s: process {left}; {why}")


def _killed(group: Group) -> bool:
    """Kill what is there; True when nothing is left."""
    if not (members := group.procs()):
        return True
    try:
        group.serving("").write_kill(group.source, group.dirs)
    except (Missing, CgroupGone):  # before Linux 5.14: one by one, as on v1
        pass
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:  # a threaded cgroup
            raise
    _send_kill(members, group.procs)
    _thaw_all(group)
    return False


def _thaw_all(group: Group) -> None:
    """Thaw the subtree, each cgroup by itself: on v1 a frozen task dies only when thawed, and nobody thaws children."""
    with contextlib.suppress(Missing, CgroupGone):  # cannot freeze, or removed meanwhile: nothing is frozen
        dialect = group.serving(group.freezer)
        for directory in group.directories(group.freezer):
            dialect.write_freeze(group.source, {group.freezer: directory}, frozen=False)


def _send_kill(pids: Iterable[int], members: Callable[[], Iterable[int]]) -> None:
    """Send SIGKILL to each of ``pids`` that ``members()`` still lists once we hold on to it.

    A pidfd pins the process: one that is listed after it was opened is not a stranger who got the number of a
    process that ended between. 0, a process of another pid namespace, is left alone: to kill(2) it means ourselves.
    """
    held = {pid: descriptor for pid in pids if pid > 0 and (descriptor := _pidfd(pid)) is not None}
    try:
        for pid in set(members()).intersection(held):
            _signal(pid, held[pid])
    finally:
        for descriptor in held.values():
            if descriptor >= 0:
                os.close(descriptor)


def _pidfd(pid: int) -> int | None:
    """Open a descriptor of the process; None when it ended, -1 where the kernel has no pidfds (before Linux 5.3)."""
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        return -1


def _signal(pid: int, descriptor: int) -> None:
    try:
        if descriptor >= 0:
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
