"""/proc/partitions: the block devices that the container has used, as in diskstats.

Kernel: block/genhd.c, show_partition(); blocks of 1024 bytes.

    major minor  #blocks  name

     254        0  268435456 vda
"""

from __future__ import annotations

from cgroup_model.snapshot import Need, Snapshot

PATH = "proc/partitions"
NEEDS = Need.IO | Need.HOST_PARTITIONS


def render(snapshot: Snapshot) -> bytes:
    """Return the machine's lines of those devices; the machine's file if the container's io is unknown."""
    host = snapshot.host.partitions or b""
    if snapshot.io is None:
        return host
    used = {(b"%d" % device.major, b"%d" % device.minor) for device in snapshot.io.devices}
    return b"".join(line for line in host.splitlines(keepends=True) if _is_title(line) or _device(line) in used)


def _is_title(line: bytes) -> bool:
    return line.startswith(b"major") or not line.strip()


def _device(line: bytes) -> tuple[bytes, ...]:
    return tuple(line.split()[:2])
