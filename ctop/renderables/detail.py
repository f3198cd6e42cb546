"""The pages of the detail view: graphs, limits and where they come from, memory, devices, processes, labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cgroup_model.snapshot import Limit, Memory, MemoryBounds, PressureResource, Snapshot
from cgscope.quantities import format_duration
from ctop import values
from ctop.format import UNKNOWN, Value, clean, fit, number, percent, right
from ctop.renderables.graph import Graph, graph_lines
from ctop.renderables.lines import Line
from ctop.scene import Entry

if TYPE_CHECKING:
    from cgroup_model.processes import Process

PAGES: Final = ("graphs", "limits", "memory", "devices", "processes", "labels")
PROCESS_ORDERS: Final = ("cpu", "memory", "pid", "threads", "name")

_LABEL: Final = 22


@dataclass(frozen=True, slots=True)
class Detail:
    """Everything that the pages show of one cgroup."""

    entry: Entry
    trail: Callable[[str], Sequence[float | None]]  # series -> its values, oldest first
    processes: Sequence[Process] | None = None  # None: not known here, as in a recording
    process_order: str = "cpu"
    device_names: Mapping[tuple[int, int], str] | None = None
    virtual_files: Sequence[str] = ()  # mount points of the virtual proc inside


def tabs(page: str, width: int) -> Line:
    """The names of the pages; the one that is open stands in brackets."""
    text = " ".join(f"[{name}]" if name == page else f" {name} " for name in PAGES)
    return [(fit(text, width), "heading")]


def page_lines(page: str, detail: Detail, width: int, height: int) -> list[Line]:
    """All lines of a page; ``height`` is what is visible of them."""
    makers: Mapping[str, Callable[[Detail, int, int], list[Line]]] = {
        "graphs": _graphs,
        "limits": _limits,
        "memory": _memory,
        "devices": _devices,
        "processes": _processes,
        "labels": _labels,
    }
    return makers[page](detail, width, height)


def title_line(entry: Entry, width: int) -> Line:
    """Who it is."""
    identity = entry.identity
    parts = [values.title(entry), identity.engine, identity.image, values.state(entry)]
    text = "  ".join(clean(part) for part in parts if part)
    snapshot = entry.snapshot
    if snapshot is not None and snapshot.age_seconds is not None:
        text += f"  up {format_duration(snapshot.age_seconds)}"
    return [(fit(text, width), "title")]


# ----------------------------------------------------------------------------------------------- graphs


def _graphs(detail: Detail, width: int, height: int) -> list[Line]:
    graphs = _all_graphs(detail)
    columns = 2 if width >= 80 else 1
    rows = -(-len(graphs) // columns)
    tall = max(2, height // rows - 1)
    each = (width - (columns - 1) * 2) // columns
    lines: list[Line] = []
    for start in range(0, len(graphs), columns):
        blocks = [graph_lines(graph, each, tall) for graph in graphs[start : start + columns]]
        for parts in zip(*blocks, strict=True):
            line: Line = list(parts[0])
            for part in parts[1:]:
                line += [("  ", ""), *part]
            lines.append(line)
    return lines


def _all_graphs(detail: Detail) -> list[Graph]:
    entry, trail = detail.entry, detail.trail
    limit = values.memory_limit(entry)
    allowance = values.cpu_allowance(entry)
    return [
        Graph("CPU cores", trail("cpu"), "decimal", allowance, floor=0.1),
        Graph("Memory", trail("memory"), "size", float(limit) if isinstance(limit, int) else None, floor=4096),
        Graph("Read/s", trail("read"), "size", floor=1024),
        Graph("Write/s", trail("write"), "size", floor=1024),
        Graph("Receive/s", trail("rx"), "size", floor=1024),
        Graph("Transmit/s", trail("tx"), "size", floor=1024),
        Graph("PSI cpu %", trail("psi_cpu"), "percent", floor=10.0),
        Graph("PSI memory %", trail("psi_memory"), "percent", floor=10.0),
        Graph("PSI io %", trail("psi_io"), "percent", floor=10.0),
    ]


# ------------------------------------------------------------------------------------ limits and memory


def _fact(label: str, value: str, width: int, origin: str | None = None) -> Line:
    text = f"{label:<{_LABEL}} {value:>12}"
    if origin:
        text += f"  set by {clean(origin)}"
    return [(fit(text, width), "")]


def _heading(text: str, width: int) -> Line:
    return [(fit(text, width), "title")]


def _limits(detail: Detail, width: int, _height: int) -> list[Line]:
    entry = detail.entry
    snapshot = entry.snapshot
    if snapshot is None:
        return [[(fit("nothing was read of it", width), "dim")]]
    bounds = snapshot.memory_bounds or MemoryBounds()
    memory = snapshot.memory or Memory()
    lines = [
        _heading("Effective limits: the smallest of its own and all ancestors'", width),
        _fact("memory", number(bounds.max, "size"), width, _other(bounds.max_origin, entry)),
        _fact("memory high", number(bounds.high, "size"), width, _other(bounds.high_origin, entry)),
        _fact("swap", number(bounds.swap_max, "size"), width, _other(bounds.swap_max_origin, entry)),
        _fact("CPU quota, CPUs", number(values.quota(entry), "decimal"), width, _quota_origin(snapshot, entry)),
        _fact("tasks", number(values.pids_limit(entry), "count"), width, _pids_origin(snapshot, entry)),
        _heading("Its own", width),
        _fact("memory max", _own(memory.max), width),
        _fact("memory high", _own(memory.high), width),
        _fact("memory low", _own(memory.low), width),
        _fact("memory min", _own(memory.min), width),
        _fact("swap max", _own(memory.swap_max), width),
    ]
    return lines + _own_cpu(snapshot, width) + _io_limits(detail, width)


def _own(limit: Limit) -> str:
    return number(limit, "size")


def _own_cpu(snapshot: Snapshot, width: int) -> list[Line]:
    cpu, cpuset, pids = snapshot.cpu, snapshot.cpuset, snapshot.pids
    quota: Value = None if cpu is None else cpu.quota_cpus
    cpus = None if cpuset is None else cpuset.cpus_effective
    return [
        _fact("CPU quota, CPUs", number(quota, "decimal"), width),
        _fact("CPU weight", number(None if cpu is None else cpu.weight, "count"), width),
        _fact("CPUs allowed", UNKNOWN if cpus is None else str(len(cpus)), width),
        _fact("CPUs shown inside", number(None if snapshot.cpus is None else snapshot.cpus.count, "count"), width),
        _fact("tasks max", number(None if pids is None else pids.max, "count"), width),
        _fact("forks refused", number(None if pids is None else pids.events_max, "count"), width),
    ]


def _io_limits(detail: Detail, width: int) -> list[Line]:
    snapshot = detail.entry.snapshot
    lines: list[Line] = []
    for device in () if snapshot is None or snapshot.io is None else snapshot.io.devices:
        limits = (device.rbps_max, device.wbps_max, device.riops_max, device.wiops_max)
        if any(isinstance(limit, int) for limit in limits):
            shown = " ".join(number(limit, "size") for limit in limits)
            name = _device_name(detail, (device.major, device.minor))
            lines.append([(fit(f"device {name:<15} {shown}  (read/s write/s reads/s writes/s)", width), "")])
    return lines


def _other(origin: str | None, entry: Entry) -> str | None:
    return origin if origin is not None and origin != entry.path else None


def _quota_origin(snapshot: Snapshot, entry: Entry) -> str | None:
    return None if snapshot.cpus is None else _other(snapshot.cpus.quota_origin, entry)


def _pids_origin(snapshot: Snapshot, entry: Entry) -> str | None:
    return None if snapshot.pids is None else _other(snapshot.pids.effective_max_origin, entry)


_MEMORY_PARTS: Final = (
    "anon", "file", "shmem", "file_mapped", "file_dirty", "file_writeback", "slab", "slab_reclaimable",
    "slab_unreclaimable", "kernel", "kernel_stack", "pagetables", "percpu", "sock", "vmalloc", "zswap", "swapcached",
    "active_anon", "inactive_anon", "active_file", "inactive_file", "unevictable", "anon_thp",
)  # fmt: skip
_EVENTS: Final = ("low", "high", "max", "oom", "oom_kill", "oom_group_kill")


def _memory(detail: Detail, width: int, _height: int) -> list[Line]:
    snapshot = detail.entry.snapshot
    if snapshot is None or snapshot.memory is None:
        return [[(fit("no memory controller here", width), "dim")]]
    memory = snapshot.memory
    lines = [
        _heading("Memory", width),
        _share("usage", memory.current, memory.current, width),
        _share("working set", memory.working_set, memory.current, width),
        _fact("peak", number(memory.peak, "size"), width),
        _fact("swap", number(memory.swap_current, "size"), width),
    ]
    for name in _MEMORY_PARTS:
        amount = getattr(memory.stat, name)
        if amount is not None:
            lines.append(_share(name.replace("_", " "), amount, memory.current, width))
    lines.append(_heading("Events since it was made (oom kill: processes killed)", width))
    for name in _EVENTS:
        happened = None if memory.events is None else getattr(memory.events, name)
        if happened is not None:
            lines.append(_fact(name.replace("_", " "), str(happened), width))
    return lines


def _share(label: str, amount: int | None, whole: int | None, width: int) -> Line:
    text = f"{label:<{_LABEL}} {number(amount, 'size'):>12}"
    if amount is not None and whole:
        ratio = min(1.0, amount / whole)
        room = max(0, width - len(text) - 10)
        text += f" {percent(100 * amount / whole):>5} % " + "|" * round(ratio * min(room, 40))
    return [(fit(text, width), "")]


# ----------------------------------------------------------------------------------------------- devices


def _devices(detail: Detail, width: int, _height: int) -> list[Line]:
    entry = detail.entry
    lines = [_heading(f"{'device':<16} {'read/s':>8} {'write/s':>8} {'reads/s':>8} {'writes/s':>8}", width)]
    for device in entry.rates.devices if entry.rates is not None else ():
        cells = [(device.read_bytes, "size"), (device.write_bytes, "size")]
        cells += [(device.read_ios, "per_second"), (device.write_ios, "per_second")]
        name = fit(_device_name(detail, (device.major, device.minor)), 16)
        lines.append(_table_row(name, cells, width))
    heading = f"{'interface':<16} {'recv/s':>8} {'sent/s':>8} {'rpkt/s':>8} {'spkt/s':>8} {'bad/s':>8}"
    lines.append(_heading(heading, width))
    for one in entry.rates.interfaces if entry.rates is not None else ():
        cells = [(one.rx_bytes, "size"), (one.tx_bytes, "size"), (one.rx_packets, "per_second")]
        cells += [(one.tx_packets, "per_second"), (one.errors, "per_second")]
        lines.append(_table_row(fit(clean(one.name), 16), cells, width))
    lines.append(_heading(f"{'pressure':<16} {'10 s':>8} {'60 s':>8} {'300 s':>8}", width))
    pressure = entry.snapshot.pressure if entry.snapshot is not None else None
    for name in ("cpu", "memory", "io"):
        resource: PressureResource | None = getattr(pressure, name, None)
        for kind in ("some", "full"):
            line = getattr(resource, kind, None)
            if line is not None:
                averages = [(line.avg10, "percent"), (line.avg60, "percent"), (line.avg300, "percent")]
                lines.append(_table_row(fit(f"{name} {kind}", 16), averages, width))
    return lines


def _table_row(name: str, cells: Sequence[tuple[float | None, str]], width: int) -> Line:
    return [(fit(name + "".join(" " + right(number(value, kind), 8) for value, kind in cells), width), "")]


def _device_name(detail: Detail, number_of: tuple[int, int]) -> str:
    known = (detail.device_names or {}).get(number_of)
    return clean(known) if known else "{}:{}".format(*number_of)


# ------------------------------------------------------------------------------------ processes, labels


def in_order(processes: Sequence[Process], order: str) -> list[Process]:
    """Sort processes; unknown last."""
    keys: Mapping[str, Callable[[Process], object]] = {
        "cpu": lambda one: -(one.cpu_percent or 0.0),
        "memory": lambda one: -(one.rss_bytes or 0),
        "pid": lambda one: one.pid,
        "threads": lambda one: -(one.threads or 0),
        "name": lambda one: (one.name or "").casefold(),
    }
    key = keys[order]
    return sorted(processes, key=lambda one: (key(one), one.pid))


def _processes(detail: Detail, width: int, _height: int) -> list[Line]:
    if detail.processes is None:
        return [[(fit("processes are not known here", width), "dim")]]
    heading = f"{'PID':>8} {'USER':<10} {'S':<10} {'THR':>4} {'CPU%':>6} {'RSS':>6} {'TIME':>7} COMMAND"
    order = f"  (by {detail.process_order}; s changes)"
    lines: list[Line] = [[(fit(heading + order, width), "heading")]]
    for one in in_order(detail.processes, detail.process_order):
        cpu = number(one.cpu_percent, "percent")
        rss = number(one.rss_bytes, "size")
        age = number(one.age_seconds, "duration")
        user, state = fit(clean(one.user or UNKNOWN), 10), fit(clean(one.state or UNKNOWN), 10)
        text = f"{one.pid:>8} {user} {state} {number(one.threads, 'count'):>4} {cpu:>6} {rss:>6} {age:>7} "
        lines.append([(fit(text + clean(one.command or f"[{one.name or ''}]"), width), "")])
    return lines


def _labels(detail: Detail, width: int, _height: int) -> list[Line]:
    entry = detail.entry
    identity = entry.identity
    rows = [
        ("name", identity.name),
        ("engine", identity.engine),
        ("id", identity.id if identity.engine else None),
        ("image", identity.image),
        ("namespace", identity.namespace),
        ("pod", identity.pod),
        ("cgroup", entry.path),
        ("inode", str(entry.inode)),
        ("problem", identity.problem),
    ]
    lines = [_heading("Identity", width)]
    lines += [[(fit(f"{name:<{_LABEL}} {clean(value)}", width), "")] for name, value in rows if value]
    lines.append(_heading(f"Labels ({len(identity.labels)})", width))
    lines += [[(fit(f"{clean(key)} = {clean(value)}", width), "")] for key, value in sorted(identity.labels.items())]
    lines.append(_heading("Virtual proc", width))
    lines += [[(fit(clean(place), width), "")] for place in detail.virtual_files]
    if not detail.virtual_files:
        lines.append([(fit("none of its files is mounted inside, or it is not ours to look", width), "dim")])
    return lines
