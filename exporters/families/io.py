"""Block I/O by device, with its limits.

Kernel: block/blk-cgroup.c, block/blk-throttle.c; Documentation/admin-guide/cgroup-v2.rst, "IO". ``device`` is the
device's name as boards filter it (``/dev/sda``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cgroup_model.snapshot import Io, IoDevice, Need
from exporters.metric import Column, Family, Group, LabelValues, counter, gauge, limit
from exporters.subject import Subject

_DEVICE = ("device",)
_NUMBERED = ("device", "major", "minor")


def _io(subject: Subject) -> Io | None:
    return subject.snapshot.io


def _device_name(subject: Subject, device: IoDevice) -> str:
    number = (device.major, device.minor)
    return subject.world.device_names.get(number) or f"{device.major}:{device.minor}"


def _devices(subject: Subject) -> Iterable[tuple[LabelValues, IoDevice]]:
    io = subject.snapshot.io
    return [((_device_name(subject, device),), device) for device in io.devices] if io is not None else ()


def _numbered(subject: Subject) -> Iterator[tuple[LabelValues, IoDevice]]:
    for (name,), device in _devices(subject):
        yield (name, str(device.major), str(device.minor)), device


def _limited(subject: Subject) -> Iterator[tuple[LabelValues, IoDevice]]:
    for labels, device in _devices(subject):
        if any(isinstance(one, int) for one in (device.rbps_max, device.wbps_max, device.riops_max, device.wiops_max)):
            yield labels, device


def _counted(name: str, text: str, path: str) -> Column:
    return counter(f"container_fs_{name}_total", text, path, labels=_DEVICE)


def _limit(name: str, text: str, path: str) -> Column:
    return gauge(f"container_spec_io_{name}_per_second_limit", text, path, limit, labels=_DEVICE)


def _operation(path: str, operation: str) -> Column:
    text = "Bytes by device and operation (the same numbers as container_fs_*_bytes_total)."
    return counter("container_blkio_device_usage_total", text, path, labels=_NUMBERED, operation=operation)


FAMILIES = (
    Family(
        "io",
        "Block I/O by device, and its limits",
        (
            Group(
                IoDevice,
                _devices,
                (
                    _counted("reads", "Read operations.", "rios"),
                    _counted("reads_bytes", "Bytes read.", "rbytes"),
                    _counted("writes", "Write operations.", "wios"),
                    _counted("writes_bytes", "Bytes written.", "wbytes"),
                    _counted("discards", "Discard operations.", "dios"),
                    _counted("discards_bytes", "Bytes discarded.", "dbytes"),
                ),
                labels=_DEVICE,
            ),
            Group(
                IoDevice,
                _limited,
                (
                    _limit("read_bytes", "Limit of bytes read; 0: none.", "rbps_max"),
                    _limit("write_bytes", "Limit of bytes written; 0: none.", "wbps_max"),
                    _limit("reads", "Limit of read operations; 0: none.", "riops_max"),
                    _limit("writes", "Limit of write operations; 0: none.", "wiops_max"),
                ),
                labels=_DEVICE,
            ),
            Group(Io, _io, (gauge("container_spec_io_weight", "Share of I/O beside others; default 100.", "weight"),)),
        ),
        needs=Need.IO,
        parts=("io",),
    ),
    Family(
        "blkio",
        "Block I/O under cAdvisor's other name",
        (
            Group(
                IoDevice,
                _numbered,
                (_operation("rbytes", "Read"), _operation("wbytes", "Write"), _operation("dbytes", "Discard")),
                labels=_NUMBERED,
            ),
        ),
        needs=Need.IO,
        default=False,
        why_off="the same numbers as in io",
        parts=("io",),
    ),
)
