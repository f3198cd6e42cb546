"""/sys/class/block/<device>/stat: what the container reads and writes on each disk and partition, as diskstats says.

Kernel: block/genhd.c, Documentation/block/stat.rst: the columns of diskstats after the name, padded.

    vda/stat        2735        0   362696        0 ...

Every device of the machine has its file; one that the container never used shows zeros.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

from cgroup_model.snapshot import IoDevice, Need, Snapshot
from procfs_fuse.views import View
from procfs_fuse.views.diskstats import counters

PATH = "sys/class/block"
NEEDS = Need.HOST_DISKSTATS

_LINE = re.compile(rb"^ *(\d+) +(\d+) (\w[\w/.-]*) (.*)$", re.MULTILINE)


def key(snapshot: Snapshot) -> tuple[bytes, ...]:
    """Return the names of the machine's devices."""
    return tuple(dict.fromkeys(match[3] for match in _lines(snapshot)))


def leaves(key: tuple[bytes, ...]) -> Iterator[View]:
    """Yield a device's file for each of these names, in which sysfs writes ``!`` for a slash."""
    for name in key:
        folder = name.decode().replace("/", "!")
        yield View(f"{PATH}/{folder}/stat", NEEDS | Need.IO, partial(_stat, name))


def _lines(snapshot: Snapshot) -> Iterator[re.Match[bytes]]:
    return _LINE.finditer(snapshot.host.diskstats or b"")


def _stat(name: bytes, snapshot: Snapshot) -> bytes:
    match = next((match for match in _lines(snapshot) if match[3] == name), None)
    if match is None:
        return b""
    shown = match[4].split()
    if snapshot.io is not None:
        major, minor = int(match[1]), int(match[2])
        used = (device for device in snapshot.io.devices if (device.major, device.minor) == (major, minor))
        shown = counters(shown, next(used, IoDevice(major, minor, 0, 0, 0, 0, 0, 0)))
    return b" ".join(column.rjust(8) for column in shown) + b"\n"
