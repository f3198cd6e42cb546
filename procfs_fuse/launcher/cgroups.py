"""Making and removing the cgroup of a container, while others do the same."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator

from cgroup_model import control
from cgroup_model.control import Limits
from cgroup_model.mounts import Mounts, OutOfSight
from procfs_fuse.launcher.container import PARENT_CGROUP


def make(mounts: Mounts, path: str, limits: Limits) -> None:
    """Make the cgroup, empty, and limit it. Raises ControlError."""
    with _alone(mounts):
        control.create(mounts, path)
    control.apply(mounts, path, limits)


def destroy(mounts: Mounts, path: str) -> None:
    """End every process of the cgroup and remove it; fine when it is not there. Raises ControlError."""
    control.kill(mounts, path)
    control.remove(mounts, path)
    with _alone(mounts):
        for hierarchy in mounts.hierarchies:
            with contextlib.suppress(OSError, OutOfSight):  # not empty: other containers are below
                os.rmdir(hierarchy.directory(PARENT_CGROUP))


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
