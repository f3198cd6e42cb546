"""blkio.* of cgroup v1. Documentation/admin-guide/cgroup-v1/blkio-controller.rst; block/blk-throttle.c, bfq-cgroup.c.

``…io_service_bytes_recursive`` has a line per device and direction, ``8:16 Read 1459200``, and a sum at the end,
``Total 0``. Which of the files counts depends on the I/O scheduler, and blk-throttle of recent kernels counts only
devices with a limit: so the first file that has a device speaks. Limits: ``8:16 2097152`` per device.
"""

from __future__ import annotations

from collections.abc import Callable

from cgroup_model.dialects.devices import Counters, Device, Limits, io_devices
from cgroup_model.dialects.optional import directory_of, optional
from cgroup_model.dialects.records import Dirs
from cgroup_model.parse import ParseError, device, integer
from cgroup_model.snapshot import Io
from cgroup_model.source import Missing, Source

PREFERENCE = (  # pairs of bytes and operations
    ("blkio.throttle.io_service_bytes_recursive", "blkio.throttle.io_serviced_recursive"),
    ("blkio.bfq.io_service_bytes_recursive", "blkio.bfq.io_serviced_recursive"),
    ("blkio.throttle.io_service_bytes", "blkio.throttle.io_serviced"),
    ("blkio.bfq.io_service_bytes", "blkio.bfq.io_serviced"),
)
BYTES = {b"Read": "rbytes", b"Write": "wbytes", b"Discard": "dbytes"}
OPERATIONS = {b"Read": "rios", b"Write": "wios", b"Discard": "dios"}
LIMITS = {
    "blkio.throttle.read_bps_device": "rbps_max",
    "blkio.throttle.write_bps_device": "wbps_max",
    "blkio.throttle.read_iops_device": "riops_max",
    "blkio.throttle.write_iops_device": "wiops_max",
}
WEIGHTS = ("blkio.bfq.weight", "blkio.weight")


def read_io(source: Source, dirs: Dirs) -> Io:
    """Read counters and limits of every device that has either, and BFQ's (before Linux 5.0 CFQ's) weight."""
    directory = directory_of(dirs, "io")
    counters = _counters(source, directory)
    limits: Limits = {}
    for name, field in LIMITS.items():
        for number, value in (optional(source, directory, name, _device_limits) or {}).items():
            limits.setdefault(number, {})[field] = value
    weights = (optional(source, directory, name, integer) for name in WEIGHTS)
    return Io(io_devices(counters, limits), next((weight for weight in weights if weight is not None), None))


def _counters(source: Source, directory: str) -> Counters:
    there = False
    for bytes_name, operations_name in PREFERENCE:
        counted = optional(source, directory, bytes_name, _directions(BYTES))
        if counted is None:
            continue
        there = True
        operations = optional(source, directory, operations_name, _directions(OPERATIONS)) or {}
        if counted or operations:
            return {
                number: counted.get(number, {}) | operations.get(number, {}) for number in {**counted, **operations}
            }
    if not there:
        raise Missing(PREFERENCE[0][0])
    return {}


def _directions(fields: dict[bytes, str]) -> Callable[[bytes], Counters]:
    """Make a parser of ``8:16 Read 1459200``; others than in ``fields`` (Sync, Async, Total) are skipped."""

    def parse(data: bytes) -> Counters:
        counters: Counters = {}
        for line in data.splitlines():
            tokens = line.split()
            if len(tokens) == 3 and tokens[1] in fields:
                number = _device(tokens[0], line)
                counters.setdefault(number, {})[fields[tokens[1]]] = integer(tokens[2])
        return counters

    return parse


def _device_limits(data: bytes) -> dict[Device, int]:
    limits = {}
    for line in data.splitlines():
        tokens = line.split()
        if len(tokens) != 2:
            raise ParseError("'major:minor limit'", line)
        limits[_device(tokens[0], line)] = integer(tokens[1])
    return limits


def _device(token: bytes, line: bytes) -> Device:
    number = device(token)
    if number is None:
        raise ParseError("a device number first", line)
    return number
