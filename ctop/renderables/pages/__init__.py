"""The pages of the detail view: one module each, put together here. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from cgscope.quantities import format_duration
from ctop import values
from ctop.format import clean, fit, trim
from ctop.renderables.lines import Line
from ctop.renderables.pages.devices import devices_page
from ctop.renderables.pages.facts import Detail
from ctop.renderables.pages.graphs import graphs_page
from ctop.renderables.pages.labels import labels_page
from ctop.renderables.pages.limits import limits_page
from ctop.renderables.pages.memory import memory_page
from ctop.renderables.pages.oom import oom_page
from ctop.renderables.pages.processes import PROCESS_ORDERS, processes_page
from ctop.scene import Entry

__all__ = ["PAGES", "PROCESS_ORDERS", "Detail", "page_at", "page_lines", "tabs", "title_line"]

_PAGES: Final[Mapping[str, Callable[[Detail, int, int], list[Line]]]] = {
    "graphs": graphs_page,
    "limits": limits_page,
    "memory": memory_page,
    "devices": devices_page,
    "oom": oom_page,
    "processes": processes_page,
    "labels": labels_page,
}
PAGES: Final = tuple(_PAGES)
"""Names of all pages, in order."""


def page_lines(page: str, detail: Detail, width: int, height: int) -> list[Line]:
    """All lines of a page; ``height`` is what is visible of them."""
    return _PAGES[page](detail, width, height)


def title_line(entry: Entry, width: int) -> Line:
    """Who it is."""
    identity = entry.identity
    parts = [values.title(entry), identity.engine, identity.image, values.state(entry)]
    text = "  ".join(clean(part) for part in parts if part)
    snapshot = entry.snapshot
    if snapshot is not None and snapshot.age_seconds is not None:
        text += f"  up {format_duration(snapshot.age_seconds)}"
    return [(fit(text, width), "title")]


def tabs(page: str, width: int) -> Line:
    """The names of the pages; the one that is open stands in brackets."""
    return [(trim("".join(_tab(name, page, width) for name in PAGES), width), "heading")]


def page_at(x: int, page: str, width: int) -> str | None:
    """The page whose name is at a column of `tabs`."""
    for name in PAGES:
        x -= len(_tab(name, page, width))
        if x < 0:
            return name
    return None


def _tab(name: str, page: str, width: int) -> str:
    """Only the open page's name is spelled out where there is no room for all."""
    room = sum(len(one) + 3 for one in PAGES) - 1 <= width
    if name == page:
        return f"[{name}] " if room else f"[{name}]"
    return f" {name}  " if room else f" {name[:3]}"
