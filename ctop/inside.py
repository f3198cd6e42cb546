"""Small facts for the detail view: names of devices, and what of the virtual proc is mounted inside a container."""

from __future__ import annotations

import os
from collections.abc import Mapping

from cgroup_model.mounts import parse_mountinfo
from cgroup_model.parse import ParseError

VIRTUAL_PROC = "fuse.procfs-fuse"


def device_names(sys_root: str = "/sys") -> Mapping[tuple[int, int], str]:
    """Map (major, minor) -> the kernel's name of a block device; empty where sysfs is not there."""
    names = {}
    directory = f"{sys_root}/dev/block"
    try:
        entries = os.listdir(directory)
    except OSError:
        return {}
    for entry in entries:
        major, _, minor = entry.partition(":")
        if major.isdecimal() and minor.isdecimal():
            try:
                names[int(major), int(minor)] = os.path.basename(os.readlink(f"{directory}/{entry}"))
            except OSError:
                continue
    return names


def mounted_inside(pid: int, proc_root: str = "/proc") -> list[str]:
    """Mount points of the virtual proc in the mount namespace of a process; empty when it may not be read."""
    try:
        with open(f"{proc_root}/{pid}/mountinfo", "rb") as file:
            mounts = parse_mountinfo(file.read())
    except (OSError, ParseError):
        return []
    return [mount.mountpoint for mount in mounts if mount.filesystem == VIRTUAL_PROC]
