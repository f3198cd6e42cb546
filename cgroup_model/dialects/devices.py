"""Rows of block devices, put together the same way from both dialects' files."""

from __future__ import annotations

from collections.abc import Mapping

from cgroup_model.snapshot import IoDevice, UnlimitedType

Device = tuple[int, int]
Counters = dict[Device, dict[str, int]]
Limits = dict[Device, dict[str, int | UnlimitedType]]


def io_devices(counters: Counters, limits: Limits) -> tuple[IoDevice, ...]:
    """Join what was counted with what is limited, by device and by the names of `IoDevice`'s fields.

    The order is the kernel's; devices that are limited but never used come last, devices with neither are left out.
    """
    numbers = dict.fromkeys([*counters, *limits])
    rows = ((number, counters.get(number, {}), limits.get(number, {})) for number in numbers)
    return tuple(_io_device(*row) for row in rows if row[1] or row[2])


def _io_device(number: Device, counted: Mapping[str, int], limited: Mapping[str, int | UnlimitedType]) -> IoDevice:
    major, minor = number
    return IoDevice(
        major,
        minor,
        rbytes=counted.get("rbytes"),
        wbytes=counted.get("wbytes"),
        rios=counted.get("rios"),
        wios=counted.get("wios"),
        dbytes=counted.get("dbytes"),
        dios=counted.get("dios"),
        rbps_max=limited.get("rbps_max"),
        wbps_max=limited.get("wbps_max"),
        riops_max=limited.get("riops_max"),
        wiops_max=limited.get("wiops_max"),
    )
