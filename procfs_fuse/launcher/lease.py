"""The file system that a container's files come from: one that is mounted, or one that we start.

The instance that launchers start by themselves is shared and ends with its last container. Every launcher (and its
janitor) holds a shared flock(2) on the file ``users`` from before it looks for the instance until its container is
gone. The instance ends by taking that lock for itself, which works only without users, and keeps it until its process
ends: a launcher that comes then waits for that end, and starts a new one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from typing import Final

from cgroup_model.keys import escape_path
from cgscope.errors import Failure
from procfs_fuse.control_socket import ask
from procfs_fuse.instances import USERS_LOCK, Instance, Registry, private_directory
from procfs_fuse.launcher.container import Container

_APPEARANCE_SECONDS: Final = 3.0
_END_SECONDS: Final = 10.0
_PAUSE_SECONDS: Final = 0.005


class Lease:
    """The right to use an instance until `release` or death."""

    def __init__(self, instance: Instance, users: int | None = None) -> None:
        self.instance = instance
        self._users = users  # descriptor that holds the shared lock; None for an instance that somebody else keeps up

    @property
    def descriptors(self) -> list[int]:
        """What another process must keep open to keep the lease alive."""
        return [] if self._users is None else [self._users]

    def tree(self, container: Container) -> str:
        """The directory that shows the container's files; waits for the file system to notice the container."""
        # By its cgroup: another engine's container may have the same id.
        path = os.path.join(self.instance.containers, escape_path(container.cgroup))
        deadline = time.monotonic() + _APPEARANCE_SECONDS
        while not os.path.isdir(path):
            if time.monotonic() > deadline:
                raise Failure(
                    f"the file system at {self.instance.mountpoint} does not show container {container.id}",
                    "is it alive? see: procfs-fuse status",
                )
            time.sleep(_PAUSE_SECONDS)
        return path

    def release(self) -> None:
        """Stop using it; if it was ours to stop and nobody else uses it, return when it has ended."""
        if self._users is None:
            return
        fcntl.flock(self._users, fcntl.LOCK_UN)  # for the janitor's copy of the descriptor, too
        os.close(self._users)
        with contextlib.suppress(Failure):  # it ends by itself, somewhat later, if it cannot be told
            if ask(self.instance.control, "release")["stopping"]:
                _await_end(self.instance)


def acquire(registry: Registry, mountpoint_wanted: str | None) -> Lease:
    """Use the instance at a mount point, else the one that is mounted, else an automatic one."""
    if mountpoint_wanted is not None:
        return Lease(registry.select(mountpoint_wanted))
    mounted = registry.preferred(registry.alive())
    if mounted is not None and not mounted.automatic:
        return Lease(mounted)
    directory = private_directory(registry.automatic_directory)
    users = _open(directory, USERS_LOCK)
    fcntl.flock(users, fcntl.LOCK_SH)
    starter = _open(directory, "starter")
    try:
        fcntl.flock(starter, fcntl.LOCK_EX)
        return Lease(_running(registry) or _start(registry), users)
    finally:
        os.close(starter)


def _running(registry: Registry) -> Instance | None:
    found = registry.find(registry.automatic_mountpoint)
    return found if found is not None and found.alive else None


def _start(registry: Registry) -> Instance:
    from procfs_fuse import background, mountpoint  # noqa: PLC0415 - the server's modules; mostly it runs already

    directory, place = registry.automatic_directory, registry.automatic_mountpoint
    mountpoint.clear(directory, place)
    private_directory(place)
    options = ["--state-dir", registry.base, "--automatic", place]
    background.start(options, os.path.join(directory, "log"))
    instance = _running(registry)
    if instance is None:
        raise Failure("the file system ended while it was starting", f"see {directory}/log")
    return instance


def _await_end(instance: Instance) -> None:
    deadline = time.monotonic() + _END_SECONDS
    while instance.alive and time.monotonic() < deadline:
        time.sleep(_PAUSE_SECONDS)


def _open(directory: str, name: str) -> int:
    return os.open(os.path.join(directory, name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
