"""The mounts that a process sees, with their numbers and peers.

``/proc/PID/mountinfo`` (proc_pid_mountinfo(5)), paths relative to that process's root, oldest first:

``36 31 0:33 /containers/web/proc/stat /proc/stat ro,nosuid shared:9 - fuse.procfs-fuse procfs-fuse:/srv/p ro``
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from procfs_fuse.instances import FILE_SYSTEM

_ESCAPE: Final = re.compile(rb"\\([0-3][0-7]{2})")
_PEERS: Final = re.compile(rb"shared:(\d+)")
_OURS: Final = f" {FILE_SYSTEM} ".encode()
_CHUNK_BYTES: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class MountLine:
    """One mount."""

    id: int
    parent: int
    device: str  # "major:minor", the same for all binds of one file system
    root: str  # the path inside the file system that is mounted
    mountpoint: str
    options: frozenset[str]  # of the mount: ro, nosuid, …
    peers: int | None  # number of the group of mounts that get the same mounts (mount_namespaces(7)); None: private
    fstype: str
    source: str
    super_options: frozenset[str]

    @property
    def is_ours(self) -> bool:
        """Whether it is a file system of this project."""
        return self.fstype == FILE_SYSTEM

    @property
    def of_one_container(self) -> bool:
        """Whether it shows a certain container's files, as ours do that were put there from outside.

        The others, ``/proc/…`` and ``/sys/…`` of the open connection, answer for whoever reads.
        """
        return self.is_ours and self.root != "/" and not self.root.startswith(("/proc/", "/sys/"))


def parse(data: bytes) -> list[MountLine]:
    """Parse a whole mountinfo; lines that do not have its form are left out."""
    return [line for line in map(_parse_line, data.splitlines()) if line is not None]


def own(proc: int) -> list[MountLine]:
    """The caller's own mounts; ``proc`` is a descriptor of a procfs that shows the caller. Raises OSError."""
    return parse(_read("self/mountinfo", proc))


def own_of_ours(proc: int) -> list[MountLine]:
    """Those of them that are file systems of this project. Raises OSError."""
    found = (line for line in _read("self/mountinfo", proc).splitlines() if _OURS in line)
    return [line for line in map(_parse_line, found) if line is not None and line.is_ours]


def of_process(pid: int, proc_root: str = "/proc") -> list[MountLine]:
    """Another process's mounts. Raises OSError, and FileNotFoundError or ProcessLookupError when it ended."""
    with open(f"{proc_root}/{pid}/mountinfo", "rb") as file:
        return parse(file.read())


def id_of(proc: int, descriptor: int) -> int:
    """Number of the mount that an open file is in (``mnt_id`` of fdinfo), without asking that mount anything."""
    for line in _read(f"self/fdinfo/{descriptor}", proc).splitlines():
        if line.startswith(b"mnt_id:"):
            return int(line.split()[1])
    raise OSError("fdinfo has no mnt_id")


def peers_of(lines: Iterable[MountLine]) -> frozenset[int]:
    """The groups of peers that these mounts are in."""
    return frozenset(line.peers for line in lines if line.peers is not None)


def _read(name: str, proc: int) -> bytes:
    descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)  # no file object: a container waits meanwhile
    try:
        return b"".join(iter(partial(os.read, descriptor, _CHUNK_BYTES), b""))
    finally:
        os.close(descriptor)


def _parse_line(line: bytes) -> MountLine | None:
    before, separator, after = line.partition(b" - ")
    head, tail = before.split(b" "), after.split(b" ")
    if not separator or len(head) < 6 or len(tail) < 3 or not (head[0].isdigit() and head[1].isdigit()):
        return None
    peers = _PEERS.search(b" ".join(head[6:]))
    return MountLine(
        id=int(head[0]),
        parent=int(head[1]),
        device=os.fsdecode(head[2]),
        root=_text(head[3]),
        mountpoint=_text(head[4]),
        options=frozenset(os.fsdecode(head[5]).split(",")),
        peers=int(peers[1]) if peers else None,
        fstype=_text(tail[0]),
        source=_text(tail[1]),
        super_options=frozenset(os.fsdecode(tail[2]).split(",")),
    )


def _text(field: bytes) -> str:
    if b"\\" in field:
        field = _ESCAPE.sub(lambda escape: bytes([int(escape[1], 8)]), field)
    return os.fsdecode(field)


def below(lines: Iterable[MountLine], root: str) -> list[MountLine]:
    """The mounts below ``root``, with paths as a process sees them whose root that is."""
    top = root.rstrip("/")
    return [
        replace(line, mountpoint=line.mountpoint[len(top) :] or "/")
        for line in lines
        if line.mountpoint == top or line.mountpoint.startswith(f"{top}/")
    ]
