"""Space and inodes of the machine's local file systems.

A line of ``/proc/1/mounts`` (fs/proc_namespace.c): ``/dev/vda1 / ext4 rw,relatime 0 0``. What is not on a local block
device is left out: statvfs on a server that is away waits for ever. So is what is mounted read-only: an image is full.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_ESCAPE: Final = re.compile(rb"\\([0-7]{3})")
_LOCAL: Final = "/dev/"


@dataclass(frozen=True, slots=True)
class Disk:
    """One file system. ``free_bytes`` is what users may still write; inodes are None where none are counted."""

    device: str
    mountpoint: str
    filesystem: str
    size_bytes: int
    free_bytes: int
    inodes: int | None
    inodes_free: int | None


def read(proc_root: str = "/proc", fs_root: str = "/") -> list[Disk]:
    """Look at every file system once, where it was mounted first; what cannot be asked is left out."""
    found: dict[str, Disk] = {}
    for device, mountpoint, filesystem in _mounts(proc_root):
        if device not in found:
            try:
                status = os.statvfs(fs_root.rstrip("/") + mountpoint)
            except OSError:  # hidden below another mount, or not for us
                continue
            if status.f_blocks:
                found[device] = Disk(
                    device,
                    mountpoint,
                    filesystem,
                    # Of what users may have, as df counts: root's reserve is neither.
                    (status.f_blocks - status.f_bfree + status.f_bavail) * status.f_frsize,
                    status.f_bavail * status.f_frsize,
                    status.f_files or None,
                    status.f_favail if status.f_files else None,
                )
    return list(found.values())


def _mounts(proc_root: str) -> Iterator[tuple[str, str, str]]:
    """Yield device, mount point and type of what is on a block device and may be written."""
    for line in _lines(proc_root):
        fields = [_unescaped(field) for field in line.split(b" ")]
        if len(fields) >= 4 and fields[0].startswith(_LOCAL) and "rw" in fields[3].split(","):
            yield fields[0], fields[1], fields[2]


def _lines(proc_root: str) -> list[bytes]:
    for name in ("1/mounts", "self/mounts"):  # the first process's are the machine's; they may not be for us
        try:
            with open(f"{proc_root}/{name}", "rb", buffering=0) as file:
                return file.readall().split(b"\n")
        except OSError:
            continue
    return []


def _unescaped(field: bytes) -> str:
    return os.fsdecode(_ESCAPE.sub(lambda found: bytes((int(found[1], 8) & 0xFF,)), field))
