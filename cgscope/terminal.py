"""Plain tables and sparing colour on standard output."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Final, TextIO

_CODES: Final = {"bold": "1", "red": "31", "green": "32", "yellow": "33", "dim": "2"}


def wants_colour(stream: TextIO) -> bool:
    """Colour only on terminals, and never with ``NO_COLOR`` (no-color.org) or ``TERM=dumb``."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb" and stream.isatty()


def paint(text: str, style: str, *, colour: bool) -> str:
    """``text`` in a style of bold, red, green, yellow, dim; unchanged without ``colour``."""
    return f"\033[{_CODES[style]}m{text}\033[0m" if colour else text


def columns(rows: Iterable[Sequence[str]], *, gap: str = "  ") -> str:
    """Left-aligned columns, as wide as their widest cell, one row a line, nothing behind the last cell."""
    table = [tuple(row) for row in rows]
    widths = [max(map(len, cells)) for cells in zip(*table, strict=True)]
    lines = (gap.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in table)
    return "".join(line.rstrip() + "\n" for line in lines)
