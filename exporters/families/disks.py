"""The machine's local file systems: all containers' writable layers, volumes and logs end up there."""

from __future__ import annotations

from collections.abc import Iterator

from exporters.labels import clean
from exporters.metric import Family, Group, LabelValues, gauge
from exporters.readers.disks import Disk, read
from exporters.subject import Machine

_LABELS = ("device", "mountpoint", "fstype")


def _disks(machine: Machine) -> Iterator[tuple[LabelValues, Disk]]:
    for disk in read(machine.world.proc_root, machine.world.fs_root):
        yield (clean(disk.device), clean(disk.mountpoint), disk.filesystem), disk


FAMILIES = (
    Family(
        "disks",
        "Local file systems of the machine",
        (
            Group(
                Disk,
                _disks,
                (
                    gauge(
                        "machine_filesystem_size_bytes", "Size, without root's reserve.", "size_bytes", labels=_LABELS
                    ),
                    gauge("machine_filesystem_free_bytes", "Left for ordinary users.", "free_bytes", labels=_LABELS),
                    gauge(
                        "machine_filesystem_inodes", "Inodes; absent where none are counted.", "inodes", labels=_LABELS
                    ),
                    gauge("machine_filesystem_inodes_free", "Free inodes.", "inodes_free", labels=_LABELS),
                ),
                labels=_LABELS,
                origin="/proc/1/mounts, statvfs",
            ),
        ),
        of="machine",
    ),
)
