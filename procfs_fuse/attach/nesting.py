"""Keeping containers able to make containers.

A new procfs may be mounted in a user namespace only where one is visible already that nothing hides parts of
(mount_too_revealing(), fs/namespace.c): in a nested container our files are such hiders, and ``unshare -Urpfm
--mount-proc`` fails with EPERM. A second procfs without anything over it, somewhere in the container, satisfies the
kernel. It goes on an empty folder that /sys has for other file systems to be mounted on. It is made only where /proc
had nothing hidden before: it shows nothing that the container had not been shown anyway.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Final

from procfs_fuse import syscalls
from procfs_fuse.attach.mountinfo import MountLine

PLACES: Final = (
    "/sys/fs/fuse/connections",
    "/sys/kernel/debug",
    "/sys/kernel/tracing",
    "/sys/kernel/security",
    "/sys/fs/bpf",
    "/sys/fs/pstore",
    "/proc/sys/fs/binfmt_misc",
)
"""Empty folders (sysfs_create_mount_point()): what is mounted on these does not count as hiding."""

_FLAGS: Final = {
    "ro": syscalls.MS_RDONLY,
    "nosuid": syscalls.MS_NOSUID,
    "nodev": syscalls.MS_NODEV,
    "noexec": syscalls.MS_NOEXEC,
}


def pristine(lines: Iterable[MountLine]) -> MountLine | None:
    """The procfs on /proc when nothing but ours hides a part of it; None when nested ones cannot be mounted anyway."""
    known = list(lines)
    found = next((line for line in reversed(known) if line.mountpoint == "/proc"), None)
    if found is None or found.fstype != "proc" or found.root != "/":
        return None
    if any(option.startswith("subset=") for option in found.super_options):
        return None
    hiders = (line for line in known if line.parent == found.id and not line.is_ours)
    return None if any(line.mountpoint not in PLACES for line in hiders) else found


def spares(lines: Iterable[MountLine]) -> list[MountLine]:
    """The pristine procfs that are mounted for nested containers."""
    return [line for line in lines if line.fstype == "proc" and line.root == "/" and line.mountpoint in PLACES]


def mount_spare(lines: Iterable[MountLine], original: MountLine, base: str = "") -> str | None:
    """Mount a second procfs like ``original``; where, or None when there is one, or no place for it.

    ``base`` is the container's root, where that is not the caller's yet. Raises OSError.
    """
    known = list(lines)
    taken = {line.mountpoint for line in known}
    if spares(known):
        return None
    flags = sum(flag for name, flag in _FLAGS.items() if name in original.options)
    data = ",".join(sorted(one for one in original.super_options if one.startswith(("hidepid=", "gid="))))
    for place in PLACES:
        if place not in taken and _is_empty(f"{base}{place}"):
            syscalls.mount("proc", f"{base}{place}", "proc", flags, data)
            return place
    return None


def _is_empty(path: str) -> bool:
    try:
        return not os.listdir(path)
    except OSError:
        return False


def remove_spares(lines: Iterable[MountLine]) -> list[str]:
    """Unmount what `mount_spare` mounted; where that was."""
    places = [line.mountpoint for line in spares(lines)]
    for place in places:
        syscalls.umount(place, syscalls.MNT_DETACH)
    return places
