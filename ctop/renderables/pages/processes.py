"""The processes inside."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ctop.format import UNKNOWN, clean, fit, number, right, trim
from ctop.renderables.lines import Line
from ctop.renderables.pages.facts import Detail, note

if TYPE_CHECKING:
    from cgroup_model.processes import Process

PROCESS_ORDERS: Final = ("cpu", "memory", "pid", "threads", "name")
"""What processes can be sorted by."""


@dataclass(frozen=True, slots=True)
class _Column:
    """A negative width aligns left; ``least`` is the narrowest page that has this column."""

    title: str
    width: int
    text: Callable[[Process], str]
    least: int = 0


_COLUMNS: Final = (
    _Column("PID", 8, lambda one: str(one.pid)),
    _Column("USER", -10, lambda one: clean(one.user or UNKNOWN), 70),
    _Column("STATE", -10, lambda one: clean(one.state or UNKNOWN), 60),
    _Column("THR", 4, lambda one: number(one.threads, "count"), 60),
    _Column("CPU%", 6, lambda one: number(one.cpu_percent, "percent")),
    _Column("RSS", 6, lambda one: number(one.rss_bytes, "size")),
    _Column("TIME", 7, lambda one: number(one.age_seconds, "duration"), 70),
)


def processes_page(detail: Detail, width: int, _height: int) -> list[Line]:
    """A line per process."""
    if detail.processes is None:
        return [note("processes are not known here", width)]
    titles = "".join(_cell(column.title, column.width) for column in _COLUMNS if width >= column.least)
    order = f"COMMAND  {len(detail.processes)} by {detail.process_order}; s changes"
    lines: list[Line] = [[(trim(titles + order, width), "heading")]]
    lines += [_row(one, width) for one in in_order(detail.processes, detail.process_order)]
    return lines if detail.processes else [*lines, note("nobody inside, or not ours to read", width)]


def _cell(text: str, width: int) -> str:
    return (fit(text, -width) if width < 0 else right(text, width)) + " "


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


def _row(one: Process, width: int) -> Line:
    cells = "".join(_cell(column.text(one), column.width) for column in _COLUMNS if width >= column.least)
    return [(trim(cells + clean(one.command or f"[{one.name or ''}]"), width), "")]
