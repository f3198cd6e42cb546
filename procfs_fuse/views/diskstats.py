"""/proc/diskstats: what the container reads and writes, on the devices that it has used.

Kernel: block/genhd.c, Documentation/admin-guide/iostats.rst; sectors of 512 bytes.

     254       0 vda 45972 21544 1012322 7211 2735 11840 362696 5037 0 4804 12503 3094 46 46936 253 4 0

The machine's devices in its order, those only of which the container's io controller counts something. Requests and
sectors are the container's; merges, times and flushes are counted for the machine only and show as zero.
"""

from __future__ import annotations

from cgroup_model.snapshot import IoDevice, Need, Snapshot

PATH = "proc/diskstats"
NEEDS = Need.IO | Need.HOST_DISKSTATS

_SECTOR_BYTES = 512
_NAMES = 3  # major, minor and name come before the counters


def render(snapshot: Snapshot) -> bytes:
    """Return one line per device; the machine's file if the container's io is unknown."""
    host = snapshot.host.diskstats or b""
    if snapshot.io is None:
        return host
    devices = {b"%d:%d" % (device.major, device.minor): device for device in snapshot.io.devices}
    lines = []
    for line in host.splitlines():
        fields = line.split()
        device = devices.get(b":".join(fields[:2]))
        if device is not None and len(fields) > _NAMES:
            lines.append(b"%4s %7s %s %s\n" % (*fields[:_NAMES], b" ".join(counters(fields[_NAMES:], device))))
    return b"".join(lines)


def counters(machines: list[bytes], device: IoDevice) -> list[bytes]:
    """Return the columns after a device's name, as many as the machine's."""
    requests_and_sectors = {
        0: device.rios,
        2: _sectors(device.rbytes),
        4: device.wios,
        6: _sectors(device.wbytes),
        11: device.dios,  # since Linux 4.18 ("block: Track DISCARD statistics ...")
        13: _sectors(device.dbytes),
    }
    shown = [b"0"] * len(machines)
    for index, value in requests_and_sectors.items():
        if index < len(machines):
            shown[index] = machines[index] if value is None else b"%d" % value
    return shown


def _sectors(size_bytes: int | None) -> int | None:
    return None if size_bytes is None else size_bytes // _SECTOR_BYTES
