"""Showing a container its own cgroup, and no other, below ``/sys/fs/cgroup``.

Runtimes like Java's read their limits there. What is bound are the container's directories in the host's hierarchies,
read-only; nothing is mounted, unmounted or changed in the host's mount namespace.
"""

from __future__ import annotations

import os
from typing import Final

from cgroup_model.mounts import Hierarchy, Mounts, OutOfSight
from procfs_fuse import syscalls
from procfs_fuse.bindings import READ_ONLY, WRITABLE, Binding

_PLACE: Final = "/sys/fs/cgroup"


def over_host(mounts: Mounts, cgroup: str) -> list[Binding]:
    """Bindings over the host's own mount points, for a container that keeps the host's root."""
    found = _directories(mounts, cgroup)
    return [Binding(directory, hierarchy.mountpoint) for hierarchy, directory in found]


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
