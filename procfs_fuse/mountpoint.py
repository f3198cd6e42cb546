"""Checks and repairs of the directories that file systems are mounted on, without touching what is mounted."""

from __future__ import annotations

import errno
import os

from cgscope.errors import Failure
from procfs_fuse.transport import mounting


def check(path: str) -> str:
    """A directory that a file system may be mounted on, without symbolic links; raises Failure with the reason."""
    occupied = mounting.mount_at(path)
    if occupied is not None and not occupied.is_volume:
        owner = f"{occupied.fstype} ({occupied.source})"
        raise Failure(f"{path} is already a mount point of {owner}", f"unmount it first: umount {path}")
    real = os.path.realpath(path)
    if not os.path.lexists(real):
        raise Failure(f"the mount point {path} does not exist", f"make it with: mkdir -p {path}")
    if not os.path.isdir(real):
        raise Failure(f"the mount point {path} is not a directory")
    if os.listdir(real):
        raise Failure(f"the mount point {path} is not empty", "files in it would be hidden; choose another directory")
    return real


def detach(path: str) -> int:
    """Unmount all of ours that is mounted on ``path``, also when it is busy or its server is dead; how many it was."""
    ours = [mount for mount in mounting.mounts() if mount.mountpoint == path and mount.is_ours]
    for _ in ours:
        mounting.unmount(path, detach=True)
    return len(ours)


def unmount(path: str) -> bool:
    """Unmount ``path``; False when it is in use and had to be detached, to vanish with its last user."""
    try:
        mounting.unmount(path)
    except OSError as error:
        if error.errno == errno.EINVAL:  # not mounted: somebody was faster
            return True
        if error.errno != errno.EBUSY:
            raise
        mounting.unmount(path, detach=True)
        return False
    return True


def is_dead(path: str) -> bool:
    """Whether the server of the file system at ``path`` is gone."""
    try:
        os.statvfs(path)  # which the kernel always passes on (fuse_statfs)
    except OSError as error:
        return error.errno == errno.ENOTCONN
    return False


def clear(directory: str, path: str) -> int:
    """Remove the mounts of an instance whose server died: at ``path``, and in its state directory. How many it was."""
    return detach(path) + detach(os.path.join(directory, "containers"))
