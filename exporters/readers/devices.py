"""Names of block devices. Kernel: block/genhd.c; ``/proc/diskstats``: ``   8       0 sda 1234 ...``."""

from __future__ import annotations

from collections.abc import Mapping


def device_names(diskstats: bytes) -> Mapping[tuple[int, int], str]:
    """Map (major, minor) to ``/dev/NAME``; lines of another form are skipped."""
    names = {}
    for line in diskstats.splitlines():
        fields = line.split()
        if len(fields) > 2 and fields[0].isdigit() and fields[1].isdigit():
            # The kernel writes ! where a name in /dev has a slash: cciss!c0d0.
            name = fields[2].decode("utf-8", "backslashreplace").replace("!", "/")
            names[int(fields[0]), int(fields[1])] = f"/dev/{name}"
    return names
