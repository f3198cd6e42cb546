"""Showing a container its own cgroup, and no other, below ``/sys/fs/cgroup``.

Runtimes like Java's read their limits there. What is bound are the container's directories in the host's hierarchies,
read-only; nothing is mounted, unmounted or changed in the host's mount namespace.
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import Final

from cgroup_model.mounts import Hierarchy, Mounts, OutOfSight
from procfs_fuse import syscalls
from procfs_fuse.attach import mountfd
from procfs_fuse.bindings import READ_ONLY, WRITABLE, Binding, Bound

_PLACE: Final = "/sys/fs/cgroup"


def replace_hosts(mounts: Mounts, cgroup: str) -> None:
    """Put the container's cgroup in the place of the host's mounts, for a container that keeps the host's root.

    In its own mount namespace, and not on top of them: Java takes the first mount of a controller that mountinfo lists,
    and does not start to count when that one shows more than its own cgroup.
    """
    bindings = [Binding(directory, hierarchy.mountpoint) for hierarchy, directory in _directories(mounts, cgroup)]
    try:
        clones = [(_clone(binding), binding) for binding in bindings]
    except OSError as error:
        if error.errno not in {errno.ENOSYS, errno.EPERM}:
            raise
        Bound(bindings).apply()  # a kernel before 5.12, or a filter: on top of the host's is better than nothing
        return
    for clone, binding in clones:
        with contextlib.suppress(OSError):  # it cannot be taken away: then it is covered
            syscalls.umount(binding.target, syscalls.MNT_DETACH)
        place = os.open(binding.target, os.O_PATH | os.O_CLOEXEC)
        mountfd.put(clone, place, binding.target)
        os.close(place)
        os.close(clone)


def _clone(binding: Binding) -> int:
    source = os.open(binding.source, os.O_PATH | os.O_CLOEXEC)
    try:
        clone = mountfd.clone(source)
    finally:
        os.close(source)
    if not mountfd.restrict(clone, binding.flags):  # before Linux 5.12 the mount has to be in place for that
        os.close(clone)
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), binding.source)
    return clone


def in_fresh_root(mounts: Mounts, cgroup: str) -> list[Binding]:
    """Bindings at the usual places, for a root whose ``/sys`` was mounted anew; see `prepare_fresh_root`."""
    found = _directories(mounts, cgroup)
    if _is_unified(mounts):
        return [Binding(directory, _PLACE) for _, directory in found]
    return [Binding(directory, f"{_PLACE}/{_name(hierarchy)}") for hierarchy, directory in found]


def prepare_fresh_root(mounts: Mounts) -> None:
    """Make the directories that `in_fresh_root` binds over; in the container's mount namespace, after pivot_root."""
    if _is_unified(mounts):
        return
    syscalls.mount("tmpfs", _PLACE, "tmpfs", WRITABLE, "mode=755,size=64k")
    for hierarchy in mounts.hierarchies:
        name = _name(hierarchy)
        os.mkdir(f"{_PLACE}/{name}", 0o755)
        for alias in name.split(","):  # "cpu,cpuacct" is found as cpu and as cpuacct, too
            if alias != name:
                os.symlink(name, f"{_PLACE}/{alias}")
    syscalls.mount("", _PLACE, flags=syscalls.MS_REMOUNT | syscalls.MS_BIND | READ_ONLY)


def _directories(mounts: Mounts, cgroup: str) -> list[tuple[Hierarchy, str]]:
    """Where the container is in each hierarchy: in the root of those that have no cgroup for it."""
    return [(hierarchy, _directory(hierarchy, cgroup)) for hierarchy in mounts.hierarchies]


def _directory(hierarchy: Hierarchy, cgroup: str) -> str:
    try:
        directory = hierarchy.directory(cgroup)
    except OutOfSight:
        return hierarchy.mountpoint
    return directory if os.path.isdir(directory) else hierarchy.mountpoint


def _is_unified(mounts: Mounts) -> bool:
    return [hierarchy.version for hierarchy in mounts.hierarchies] == [2]


def _name(hierarchy: Hierarchy) -> str:
    return os.path.basename(hierarchy.mountpoint)
