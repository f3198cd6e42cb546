"""Values to text of a fixed width. Pure: no clock, no terminal.

Unknown is ``-``, unlimited is ``max``, zero is ``0``. Names come from strangers: `clean` makes of any one printable
line, and `fit` counts terminal cells, so that wide and combining characters cannot shift what stands beside them.
"""

from __future__ import annotations

import math
import unicodedata
from typing import Final

from rich.cells import cell_len, set_cell_size

from cgroup_model.snapshot import UNLIMITED, UnlimitedType
from cgscope.errors import printable
from cgscope.quantities import format_duration, format_size

Value = int | float | str | UnlimitedType | None
"""What a cell may hold."""

UNKNOWN: Final = "-"
MAX: Final = "max"
INHERITED: Final = "^"
"""Stands behind a limit that an ancestor sets."""

_MOST_MARKS: Final = 2  # combining characters on one base: no script needs more, heaps of them leave the line
_THOUSAND: Final = 1000.0


def clean(text: str) -> str:
    """One printable line: control characters, line breaks and writing directions are spelled out as escapes."""
    if text.isascii() and text.isprintable():
        return text
    return _without_heaps(printable(text))


def _without_heaps(text: str) -> str:
    kept = []
    marks = 0
    for character in text:
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks <= _MOST_MARKS:
            kept.append(character)
    return "".join(kept)


def fit(text: str, width: int) -> str:
    """Exactly ``width`` cells: padded on the right, or cut in the middle, where names differ least."""
    if text.isascii() and len(text) <= width:
        return text.ljust(width)
    length = cell_len(text)
    if length <= width:
        return text + " " * (width - length)
    if width < 4:
        return set_cell_size(text, max(width, 0))
    head = (width - 1) // 2
    tail = width - 1 - head
    return set_cell_size(text, head) + "…" + _last_cells(text, tail)


def trim(text: str, width: int) -> str:
    """Exactly ``width`` cells: padded on the right, or cut there: for sentences."""
    if cell_len(text) <= width or width < 1:
        return fit(text, width)
    return set_cell_size(text, width - 1) + "…"


def _last_cells(text: str, width: int) -> str:
    """The end of a text, ``width`` cells wide; padded when a wide character does not fit."""
    start = len(text)
    used = 0
    while start and used + (step := cell_len(text[start - 1])) <= width:
        start -= 1
        used += step
    while start < len(text) and unicodedata.combining(text[start]):
        start += 1
    return " " * (width - used) + text[start:]


def right(text: str, width: int) -> str:
    """Exactly ``width`` cells, aligned right; a number that is too long shows as ``>`` signs, never cut to a lie."""
    return text.rjust(width) if len(text) <= width else ">" * width


def percent(value: float) -> str:
    """``value`` percent in at most 5 characters below 100,000: ``0.0``, ``99.9``, ``1600``."""
    return f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


def count(value: float) -> str:
    """A number of things in at most 5 characters: ``0``, ``99999``, ``100k``, ``4.2M``."""
    if value < 100 * _THOUSAND:
        return f"{value:.0f}"
    power = min(4, int(math.log10(value)) // 3)
    value, prefix = value / _THOUSAND**power, "_kMGT"[power]
    return f"{value:.1f}{prefix}" if value < 10 else f"{value:.0f}{prefix}"


def decimal(value: float) -> str:
    """Two decimals while that fits into 5 characters: ``0.25``, ``12.50``, ``128``."""
    return f"{value:.2f}" if value < 100 else f"{value:.0f}"


def per_second(value: float) -> str:
    """Operations per second: ``0``, ``0.4``, ``12``."""
    return f"{value:.1f}" if 0 < value < 10 else count(value)


FORMATS: Final = {
    "percent": percent,
    "size": format_size,
    "count": count,
    "decimal": decimal,
    "per_second": per_second,
    "duration": format_duration,
}
"""Kind of a column -> how its numbers are written."""


def number(value: Value, kind: str) -> str:
    """Any value of a numeric column as text, unknown and unlimited included."""
    if value is None:
        return UNKNOWN
    if value is UNLIMITED:
        return MAX
    return value if isinstance(value, str) else FORMATS[kind](value)
