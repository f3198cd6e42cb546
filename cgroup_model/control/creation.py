"""Making and removing cgroups."""

from __future__ import annotations

import contextlib
import errno
import os
import time

from cgroup_model.control.errors import WHY, failure, reported
from cgroup_model.control.group import CONTROLLERS, WAIT_SECONDS, Group, below, within
from cgroup_model.dialects import Dialect, dialect_for
from cgroup_model.mounts import Hierarchy, Mounts
from cgroup_model.parse import format_id_list
from cgroup_model.source import Source


def create(mounts: Mounts, path: str) -> None:
    """Make the cgroup and its missing ancestors in every hierarchy; what exists is taken as it is.

    When that fails nothing stays behind.
    """
    group = Group(mounts, path)
    made: list[str] = []
    try:
        for hierarchy in group.hierarchies:
            with reported("make", path):
                _create_in(hierarchy, path, group.source, made)
    except BaseException:
        for directory in reversed(made):
            with contextlib.suppress(OSError):  # somebody uses it already
                os.rmdir(directory)
        raise


def remove(mounts: Mounts, path: str, timeout_seconds: float = WAIT_SECONDS) -> None:
    """Remove the cgroup and everything below it from every hierarchy; what is gone already is no error.

    The kernel lets go of a cgroup a little after its last process: EBUSY is tried again until the time is over.
    """
    group = Group(mounts, path)
    deadline = time.monotonic() + timeout_seconds
    for hierarchy in group.hierarchies:
        with reported("remove", path):
            top = hierarchy.directory(path)
            for directory in [*below(top), top]:
                left = max(0.0, deadline - time.monotonic())
                if not within(left, lambda directory=directory: _removed(directory)):  # type: ignore[misc]
                    raise failure("remove", hierarchy.path(directory), _used_by(group))


def _create_in(hierarchy: Hierarchy, path: str, source: Source, made: list[str]) -> None:
    """Make the cgroup in one hierarchy, from the top down; ``made`` collects what was not there."""
    dialect = dialect_for(hierarchy)
    top = hierarchy.mountpoint
    below = os.path.relpath(hierarchy.directory(path), top).split("/")
    parent = top
    for name in below:
        _hand_on(hierarchy, dialect, source, parent)
        directory = f"{parent}/{name}"
        try:
            os.mkdir(directory)
        except FileExistsError:
            if not os.path.isdir(directory):
                raise
        else:
            made.append(directory)
            if hierarchy.version == 1 and "cpuset" in hierarchy.controllers:
                _inherit_cpuset(dialect, source, parent, directory)
        parent = directory


def _hand_on(hierarchy: Hierarchy, dialect: Dialect, source: Source, directory: str) -> None:
    """Enable for the children of a v2 cgroup what it has and we know."""
    wanted = dialect.read_controllers(source, directory) & frozenset(CONTROLLERS)
    missing = wanted - dialect.read_subtree_control(source, directory)
    if not missing:
        return
    try:
        dialect.write_subtree_control(source, directory, missing)
    except OSError as error:
        if error.errno not in (errno.EBUSY, errno.EOPNOTSUPP):
            raise
        given = ", ".join(sorted(missing))
        why = "it holds processes, and cgroup v2 allows either; move them into a child of it, or use another parent"
        raise failure(f"give {given} to children of", hierarchy.path(directory), why) from error


def _inherit_cpuset(dialect: Dialect, source: Source, parent: str, directory: str) -> None:
    """Fill in a new v1 cpuset, which is empty unless clone_children is set, and then takes no tasks."""
    if not dialect.read_cpuset(source, {"cpuset": directory}).cpus:
        above = dialect.read_cpuset(source, {"cpuset": parent})
        dialect.write_cpuset(
            source, {"cpuset": directory}, format_id_list(above.cpus or ()), format_id_list(above.mems or ())
        )


def _removed(directory: str) -> bool:
    try:
        os.rmdir(directory)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return False
    return True


def _used_by(group: Group) -> str:
    members = ", ".join(map(str, group.procs()))
    return f"process {members} is in it; stop it first" if members else WHY[errno.EBUSY]
