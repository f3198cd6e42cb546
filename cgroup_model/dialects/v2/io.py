"""io.* of cgroup v2. Documentation/admin-guide/cgroup-v2.rst, "IO"; block/blk-cgroup.c.

``io.stat`` has ``8:16 rbytes=1459200 wbytes=314773504 rios=192 wios=353 dbytes=0 dios=0`` per device, ``io.max``
``8:16 rbps=2097152 wbps=max riops=max wiops=120`` per limited device, ``io.weight`` ``default 100`` and exceptions.
"""

from __future__ import annotations

from collections.abc import Mapping

from cgroup_model.dialects.devices import Device, Limits, io_devices
from cgroup_model.dialects.optional import directory_of, needed, parsed
from cgroup_model.dialects.records import Dirs, IoSources
from cgroup_model.parse import device_keyed, integer, limit, numbers
from cgroup_model.snapshot import UNLIMITED, Io, UnlimitedType
from cgroup_model.source import Source

COUNTERS = {name.encode(): name for name in ("rbytes", "wbytes", "rios", "wios", "dbytes", "dios")}
LIMITS = {b"rbps": "rbps_max", b"wbps": "wbps_max", b"riops": "riops_max", b"wiops": "wiops_max"}

_STAT = ("io.stat",)
_SETTINGS = ("io.max", "io.weight", "io.bfq.weight")


def io_sources(source: Source, top: str) -> IoSources:  # noqa: ARG001
    """Return nothing: v2 has one file."""
    return ()


def read_io(source: Source, dirs: Dirs, sources: IoSources = ()) -> Io:  # noqa: ARG001
    """Read counters and limits of every device that has either, in the kernel's order; weight of BFQ or iocost."""
    directory = directory_of(dirs, "io")
    return source.record(directory, _STAT, _io, *source.settings(directory, _SETTINGS, _settings))


def write_wbps_max(source: Source, dirs: Dirs, number: Device, limit: int | UnlimitedType) -> None:
    """Limit what is written to a device; bytes per second."""
    value = b"max" if limit is UNLIMITED else b"%d" % limit
    source.write(directory_of(dirs, "io"), "io.max", b"%d:%d wbps=%b" % (*number, value))


def _settings(limits: bytes | None, weight: bytes | None, bfq_weight: bytes | None) -> tuple[Limits, int | None]:
    found = {number: _limits(pairs) for number, pairs in (parsed(limits, device_keyed) or {}).items()}
    number = parsed(weight, _weight)
    return found, parsed(bfq_weight, _weight) if number is None else number


def _io(stat: bytes | None, limits: Limits, weight: int | None) -> Io:
    counted = device_keyed(needed(stat, _STAT[0]))
    counters = {number: numbers(pairs, COUNTERS) for number, pairs in counted.items()}
    return Io(devices=io_devices(counters, limits), weight=weight)


def _limits(pairs: Mapping[bytes, bytes]) -> dict[str, int | UnlimitedType]:
    return {field: limit(pairs[key]) for key, field in LIMITS.items() if key in pairs}


def _weight(data: bytes) -> int | None:
    """Parse the default weight, in a line of its own beside exceptions; BFQ alone writes the bare number."""
    for line in data.splitlines():
        tokens = line.split()
        if tokens and tokens[0] == b"default":
            return integer(b" ".join(tokens[1:]))
        if len(tokens) == 1:
            return integer(tokens[0])
    return None
