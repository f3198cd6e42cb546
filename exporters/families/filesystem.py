"""Space of writable layers: what a container wrote into its own image, and what is left where that is."""

from __future__ import annotations

from collections.abc import Iterator

from exporters.metric import Family, Group, LabelValues, gauge
from exporters.readers.filesystem import Layer
from exporters.subject import Subject

_LABELS = ("device",)


def _layers(subject: Subject) -> Iterator[tuple[LabelValues, Layer]]:
    reader = subject.world.filesystem
    layer = reader.read(subject.cgroup) if reader is not None else None
    if layer is not None:
        major, minor = layer.device.split(":")
        yield (subject.world.device_names.get((int(major), int(minor)), layer.device),), layer


FAMILIES = (
    Family(
        "filesystem",
        "Space of writable layers, measured every five minutes",
        (
            Group(
                Layer,
                _layers,
                (
                    gauge("container_fs_usage_bytes", "What the container wrote.", "usage_bytes", labels=_LABELS),
                    gauge("container_fs_inodes_used", "Files and folders of it.", "inodes", labels=_LABELS),
                    gauge("container_fs_limit_bytes", "Size of the disk it is on.", "limit_bytes", labels=_LABELS),
                    gauge("container_fs_free_bytes", "Free on that disk.", "free_bytes", labels=_LABELS),
                    gauge("container_fs_inodes_total", "Inodes of that disk.", "inodes_total", labels=_LABELS),
                    gauge("container_fs_inodes_free", "Free inodes of that disk.", "inodes_free", labels=_LABELS),
                    gauge(
                        "container_fs_measured_time_seconds",
                        "When that was measured, seconds of the epoch.",
                        "measured_epoch",
                        labels=_LABELS,
                    ),
                ),
                labels=_LABELS,
                origin="the overlay's upper directory (/proc/PID/mountinfo), added up; statvfs",
            ),
        ),
        default=False,
        why_off="a thread adds up directories",
    ),
)
