"""Block devices, network interfaces and pressure, a table each."""

from __future__ import annotations

from cgroup_model.snapshot import PressureResource
from ctop.format import clean, fit
from ctop.renderables.lines import Line
from ctop.renderables.pages.facts import Detail, device_name, heading, table_row
from ctop.scene import Entry

_NAME = 16


def devices_page(detail: Detail, width: int, _height: int) -> list[Line]:
    """All three tables; what has no counters has no line."""
    return [*_block_devices(detail, width), *_interfaces(detail.entry, width), *_pressure(detail.entry, width)]


def _titles(name: str, columns: tuple[str, ...], width: int) -> Line:
    return heading(f"{name:<{_NAME}}" + "".join(f" {column:>8}" for column in columns), width)


def _block_devices(detail: Detail, width: int) -> list[Line]:
    rates = detail.entry.rates
    lines = [_titles("device", ("read/s", "write/s", "reads/s", "writes/s"), width)]
    for device in rates.devices if rates is not None else ():
        cells = [(device.read_bytes, "size"), (device.write_bytes, "size")]
        cells += [(device.read_ios, "per_second"), (device.write_ios, "per_second")]
        lines.append(table_row(fit(device_name(detail, (device.major, device.minor)), _NAME), cells, width))
    return lines


def _interfaces(entry: Entry, width: int) -> list[Line]:
    lines = [_titles("interface", ("recv/s", "sent/s", "rpkt/s", "spkt/s", "bad/s"), width)]
    for one in entry.rates.interfaces if entry.rates is not None else ():
        cells = [(one.rx_bytes, "size"), (one.tx_bytes, "size"), (one.rx_packets, "per_second")]
        cells += [(one.tx_packets, "per_second"), (one.errors, "per_second")]
        lines.append(table_row(fit(clean(one.name), _NAME), cells, width))
    return lines


def _pressure(entry: Entry, width: int) -> list[Line]:
    lines = [_titles("pressure, %", ("10 s", "60 s", "300 s"), width)]
    pressure = entry.snapshot.pressure if entry.snapshot is not None else None
    for name in ("cpu", "memory", "io", "irq"):
        resource: PressureResource | None = getattr(pressure, name, None)
        for kind in ("some", "full"):
            line = getattr(resource, kind, None)
            if line is not None:
                averages = [(line.avg10, "percent"), (line.avg60, "percent"), (line.avg300, "percent")]
                lines.append(table_row(fit(f"{name} {kind}", _NAME), averages, width))
    return lines
