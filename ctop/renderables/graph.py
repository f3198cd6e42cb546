"""Graphs of the recent past out of block characters, the limit drawn in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ctop.format import FORMATS, UNKNOWN, trim
from ctop.renderables.lines import Line

_BLOCKS: Final = " ▁▂▃▄▅▆▇█"
_STEPS: Final = len(_BLOCKS) - 1
_LEAST_SHARE: Final = 0.05  # of a limit: below that, the graph has its own scale, and the title points at the limit


@dataclass(frozen=True, slots=True)
class Graph:
    """One series, oldest first. ``limit`` is drawn in, unless it is so far above that nothing else was seen."""

    title: str
    values: Sequence[float | None]
    kind: str  # of `FORMATS`
    limit: float | None = None
    floor: float = 0.0  # the scale never ends below: a quiet series stays a flat line


def graph_lines(graph: Graph, width: int, height: int) -> list[Line]:
    """A title line and ``height`` lines of blocks; each line is exactly ``width`` cells."""
    shown = list(graph.values)[-width:]
    known = [value for value in shown if value is not None]
    top = _scale(graph, known)
    last = shown[-1] if shown else None
    write = FORMATS[graph.kind]
    now = UNKNOWN if last is None else write(last)
    scale = f"{graph.title} {now}  max {write(max(known)) if known else UNKNOWN}"
    if graph.limit is not None:
        scale += f"  limit {write(graph.limit)}{'' if graph.limit <= top else ' ↑'}"
    lines: list[Line] = [[(trim(scale, width), "title")]]
    limit_row = None if graph.limit is None or not top else _row_of(graph.limit, top, height)
    for row in range(height - 1, -1, -1):
        body = "".join(_block(value, top, row, height) for value in shown).rjust(width)
        if row == limit_row:
            body = body.replace(" ", "┈")
        lines.append([(body, "graph")])
    return lines


def _scale(graph: Graph, known: Sequence[float]) -> float:
    """The value at the upper edge: the limit, or the highest value where that is far below."""
    highest = max([graph.floor, *known])
    if graph.limit is not None and highest >= graph.limit * _LEAST_SHARE:
        return max(highest, graph.limit)
    return highest


def _row_of(value: float, top: float, height: int) -> int | None:
    return min(height - 1, int(value / top * height)) if 0 <= value <= top else None


def _block(value: float | None, top: float, row: int, height: int) -> str:
    if value is None or top <= 0:
        return " "
    filled = round(value / top * height * _STEPS)
    if value > 0:
        filled = max(1, filled)  # little is not nothing
    return _BLOCKS[max(0, min(_STEPS, filled - row * _STEPS))]
