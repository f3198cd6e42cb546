"""io.* of cgroup v2. Documentation/admin-guide/cgroup-v2.rst, "IO"; block/blk-cgroup.c.

``io.stat`` has ``8:16 rbytes=1459200 wbytes=314773504 rios=192 wios=353 dbytes=0 dios=0`` per device, ``io.max``
``8:16 rbps=2097152 wbps=max riops=max wiops=120`` per limited device, ``io.weight`` ``default 100`` and exceptions.
"""

from __future__ import annotations

from collections.abc import Mapping

from cgroup_model.dialects.devices import io_devices
from cgroup_model.dialects.optional import directory_of, optional
from cgroup_model.dialects.records import Dirs
from cgroup_model.parse import device_keyed, integer, limit, numbers
from cgroup_model.snapshot import Io, UnlimitedType
from cgroup_model.source import Source

COUNTERS = {name.encode(): name for name in ("rbytes", "wbytes", "rios", "wios", "dbytes", "dios")}
LIMITS = {b"rbps": "rbps_max", b"wbps": "wbps_max", b"riops": "riops_max", b"wiops": "wiops_max"}


def read_io(source: Source, dirs: Dirs) -> Io:
    """Read counters and limits of every device that has either, in the kernel's order; weight of BFQ or iocost."""
    directory = directory_of(dirs, "io")
    counted = device_keyed(source.read(directory, "io.stat"))
    limited = optional(source, directory, "io.max", device_keyed) or {}
    weight = optional(source, directory, "io.weight", _weight)
    return Io(
        devices=io_devices(
            {number: numbers(pairs, COUNTERS) for number, pairs in counted.items()},
            {number: _limits(pairs) for number, pairs in limited.items()},
        ),
        weight=optional(source, directory, "io.bfq.weight", _weight) if weight is None else weight,
    )


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
