"""Making and removing the cgroup of a container, while others do the same."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator

from cgroup_model import control
from cgroup_model.control import Limits
from cgroup_model.mounts import Hierarchy, Mounts, OutOfSight
from cgscope.errors import Failure
from procfs_fuse.launcher.container import PARENT_CGROUP


def make(mounts: Mounts, path: str, limits: Limits) -> None:
    """Make the cgroup, empty, and limit it; leaves nothing on failure. Raises ControlError; Failure if it exists."""
    with _alone(mounts):
        # Other launchers may have other state directories, but there is one tree of cgroups.
        if any(_exists(hierarchy, path) for hierarchy in mounts.hierarchies):
            raise Failure(f"the cgroup {path} exists already: another container has it", "choose another --name")
        control.create(mounts, path)
    try:
        control.apply(mounts, path, limits)
    except BaseException:
        destroy(mounts, path)
        raise


def destroy(mounts: Mounts, path: str) -> None:
    """End every process of the cgroup and remove it; fine when it is not there. Raises ControlError."""
    control.kill(mounts, path)
    control.remove(mounts, path)
    with _alone(mounts):
        for hierarchy in mounts.hierarchies:
            with contextlib.suppress(OSError, OutOfSight):  # not empty: other containers are below
                os.rmdir(hierarchy.directory(PARENT_CGROUP))


def _exists(hierarchy: Hierarchy, path: str) -> bool:
    try:
        return os.path.lexists(hierarchy.directory(path))
    except OutOfSight:
        return False


@contextlib.contextmanager
def _alone(mounts: Mounts) -> Iterator[None]:
    """Keep another launcher from removing the common parent between our making it and our making a child in it.

    The lock is on a directory that all launchers share, whatever their state directories.
    """
    descriptor = os.open(mounts.primary.mountpoint, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
