"""Graphs of the recent past."""

from __future__ import annotations

from ctop import values
from ctop.format import UNKNOWN, number, trim
from ctop.renderables.graph import Graph, graph_lines
from ctop.renderables.lines import Line
from ctop.renderables.pages.facts import Detail
from ctop.scene import Entry

_TWO_COLUMNS_FROM = 80
_GAP = 2


def graphs_page(detail: Detail, width: int, height: int) -> list[Line]:
    """Two columns of graphs where there is room for them, below what the CPU time went to."""
    graphs = _all_graphs(detail)
    columns = 2 if width >= _TWO_COLUMNS_FROM else 1
    tall = max(2, (height - 1) // -(-len(graphs) // columns) - 1)
    each = (width - (columns - 1) * _GAP) // columns
    lines: list[Line] = [_cpu_line(detail.entry, width)]
    for start in range(0, len(graphs), columns):
        blocks = [graph_lines(graph, each, tall) for graph in graphs[start : start + columns]]
        for parts in zip(*blocks, strict=True):
            line: Line = list(parts[0])
            for part in parts[1:]:
                line += [(" " * _GAP, ""), *part]
            lines.append(line)
    return lines


def _cpu_line(entry: Entry, width: int) -> Line:
    rates = entry.rates

    def share(ratio: float | None) -> str:
        return UNKNOWN if ratio is None else number(100 * ratio, "percent")

    text = "CPU% -" if rates is None else f"CPU% {share(rates.cpu_cores)}: user {share(rates.user_cores)}"
    if rates is not None:
        text += f", system {share(rates.system_cores)}; throttled in {share(rates.throttled_ratio)} % of periods"
    return [(trim(text, width), "")]


def _all_graphs(detail: Detail) -> list[Graph]:
    entry, trail = detail.entry, detail.trail
    limit = values.memory_limit(entry)
    return [
        Graph("CPU cores", trail("cpu"), "decimal", values.cpu_allowance(entry), floor=0.1),
        Graph("Memory", trail("memory"), "size", float(limit) if isinstance(limit, int) else None, floor=4096),
        Graph("Read/s", trail("read"), "size", values.io_limit(entry, "rbps_max"), floor=1024),
        Graph("Write/s", trail("write"), "size", values.io_limit(entry, "wbps_max"), floor=1024),
        Graph("Receive/s", trail("rx"), "size", floor=1024),
        Graph("Transmit/s", trail("tx"), "size", floor=1024),
        Graph("PSI cpu %", trail("psi_cpu"), "percent", floor=10.0),
        Graph("PSI memory %", trail("psi_memory"), "percent", floor=10.0),
        Graph("PSI io %", trail("psi_io"), "percent", floor=10.0),
        Graph("Tasks", trail("pids"), "count", _tasks_limit(entry), floor=4.0),
    ]


def _tasks_limit(entry: Entry) -> float | None:
    limit = values.pids_limit(entry)
    return float(limit) if isinstance(limit, int) else None
