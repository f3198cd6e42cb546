"""blkio.* of cgroup v1. Documentation/admin-guide/cgroup-v1/blkio-controller.rst; block/blk-throttle.c, bfq-cgroup.c.

``…io_service_bytes_recursive`` has a line per device and direction, ``8:16 Read 1459200``, and a sum at the end,
``Total 0``. Which of the files counts depends on the I/O scheduler, and blk-throttle of Linux 6.10 and newer (commit
a3166c51702b) counts a disk only from the first limit that any cgroup ever has for it: so the first file that has a
device speaks, and where none has the I/O of cgroups is unknown. Limits: ``8:16 2097152`` per device.
"""

from __future__ import annotations

from collections.abc import Callable

from cgroup_model.dialects.devices import Counters, Device, Limits, io_devices
from cgroup_model.dialects.optional import directory_of, parsed
from cgroup_model.dialects.records import Dirs, IoSources
from cgroup_model.parse import ParseError, device, integer
from cgroup_model.snapshot import UNLIMITED, Io, UnlimitedType
from cgroup_model.source import Missing, Source

RECURSIVE = (  # pairs of bytes and operations
    ("blkio.throttle.io_service_bytes_recursive", "blkio.throttle.io_serviced_recursive"),
    ("blkio.bfq.io_service_bytes_recursive", "blkio.bfq.io_serviced_recursive"),
)
OWN = (  # of kernels that do not add up what is below
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
NO_DEVICE = (b"", b"Total 0\n")  # alone in its file, as the sum of nothing


def io_sources(source: Source, top: str) -> IoSources:
    """Tell which of the files say anything, by those of the topmost cgroup: what is counted below is counted there.

    Raises Missing when nothing is: there is no machine without any I/O.
    """
    for pairs in (RECURSIVE, OWN):
        counted = [(pair, source.read_all(top, pair[:1])[0]) for pair in pairs]
        if all(data is None for _pair, data in counted):
            continue
        if pairs is OWN:  # which do not add up what is below: they say nothing more
            return pairs
        if in_use := tuple(pair for pair, data in counted if data is not None and data not in NO_DEVICE):
            return in_use
        break
    raise Missing(RECURSIVE[0][0])


def read_io(source: Source, dirs: Dirs, sources: IoSources = (*RECURSIVE, *OWN)) -> Io:
    """Read counters and limits of every device that has either, and BFQ's (before Linux 5.0 CFQ's) weight."""
    directory = directory_of(dirs, "io")
    limits, weight = source.settings(directory, (*LIMITS, *WEIGHTS), _settings)
    there = False
    for bytes_name, operations_name in sources:
        counted = source.record(directory, (bytes_name,), _same)
        if counted is not None and counted not in NO_DEVICE:
            return source.record(directory, (operations_name,), _io, counted, limits, weight)
        there = there or counted is not None
    if not there:
        raise Missing(RECURSIVE[0][0])
    return source.record(directory, (), _limited, limits, weight)


def write_wbps_max(source: Source, dirs: Dirs, number: Device, limit: int | UnlimitedType) -> None:
    """Limit what is written to a device; bytes per second."""
    value = 0 if limit is UNLIMITED else limit
    source.write(directory_of(dirs, "io"), "blkio.throttle.write_bps_device", b"%d:%d %d" % (*number, value))


def _same(counted: bytes | None) -> bytes | None:
    return counted


def _limited(limits: Limits, weight: int | None) -> Io:
    """Put the record together of devices that have not done anything."""
    return Io(io_devices({}, limits) if limits else (), weight)


def _settings(*read: bytes | None) -> tuple[Limits, int | None]:
    """Parse what only a write changes: limits by device, and the weight."""
    limits: Limits = {}
    for field, data in zip(LIMITS.values(), read, strict=False):
        for number, value in (parsed(data, _device_limits) or {}).items():
            limits.setdefault(number, {})[field] = value
    weights = [parsed(data, integer) for data in read[len(LIMITS) :]]
    return limits, next((weight for weight in weights if weight is not None), None)


def _io(operations: bytes | None, counted: bytes, limits: Limits, weight: int | None) -> Io:
    """Put the record together of a file of bytes and one of operations."""
    bytes_of, operations_of = _bytes(counted), parsed(operations, _operations) or {}
    counters = {
        number: bytes_of.get(number, {}) | operations_of.get(number, {}) for number in {**bytes_of, **operations_of}
    }
    return Io(io_devices(counters, limits), weight)


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


_bytes = _directions(BYTES)
_operations = _directions(OPERATIONS)


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
