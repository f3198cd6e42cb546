"""What all pages are made of: a fact per line, headings, tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import TYPE_CHECKING, Final

from ctop.format import clean, number, right, trim
from ctop.renderables.lines import Line
from ctop.scene import Entry

if TYPE_CHECKING:
    from cgroup_model.oom import Victim
    from cgroup_model.processes import Process

LABEL: Final = 22
"""Cells that the name of a fact has."""


@dataclass(frozen=True, slots=True)
class Detail:
    """Everything that the pages show of one cgroup."""

    entry: Entry
    trail: Callable[[str], Sequence[float | None]]  # series -> its values, oldest first
    processes: Sequence[Process] | None = None  # None: not known here, as in a recording
    process_order: str = "cpu"
    device_names: Mapping[tuple[int, int], str] | None = None
    virtual_files: Sequence[str] = ()  # mount points of the virtual proc inside
    kills: Sequence[tuple[float, int]] = ()  # (epoch seconds, processes killed), as looks saw them; the newest last
    victims: Sequence[Victim] | None = None  # of the kernel's log, the newest last; None: not ours to read
    zone: tzinfo = UTC


def heading(text: str, width: int) -> Line:
    """Name what follows."""
    return [(trim(text, width), "title")]


def fact(label: str, value: str, width: int, origin: str | None = None) -> Line:
    """One value; ``origin`` is the path of the cgroup that sets it, when that is another one."""
    text = f"{label:<{LABEL}} {value:>12}"
    if origin:
        text += f"  set by {clean(origin)}"
    return [(trim(text, width), "")]


def note(text: str, width: int) -> Line:
    """Say why there is nothing."""
    return [(trim(text, width), "dim")]


def table_row(name: str, cells: Sequence[tuple[float | None, str]], width: int) -> Line:
    """A name and numbers below their headings."""
    return [(trim(name + "".join(" " + right(number(value, kind), 8) for value, kind in cells), width), "")]


def device_name(detail: Detail, number_of: tuple[int, int]) -> str:
    """What the kernel calls a block device, else its numbers."""
    known = (detail.device_names or {}).get(number_of)
    return clean(known) if known else "{}:{}".format(*number_of)
