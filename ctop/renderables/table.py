"""The list: which columns fit, the heading, and one line per row. Serves the screen and batch mode alike."""

from __future__ import annotations

from collections.abc import Sequence

from cgroup_model.record import dataclass
from ctop.arrange import Row
from ctop.columns import Column
from ctop.format import fit, number, right
from ctop.levels import level
from ctop.renderables.lines import Line, Style
from ctop.scene import Entry

_LEAST_NAME = 8
_MOST_OF_A_NAME = 24  # cells that the name has before other columns do
_NAMES = {"name", "path"}
_PLAIN = {"", "dim"}  # blanks look the same in them


@dataclass(frozen=True, slots=True)
class Layout:
    """Columns with their widths; fixed while the terminal's width and the choice of columns are."""

    columns: tuple[tuple[Column, int], ...]
    width: int

    @property
    def shown(self) -> tuple[Column, ...]:
        """The columns that fit."""
        return tuple(column for column, _width in self.columns)


def lay_out(columns: Sequence[Column], width: int) -> Layout:
    """Choose the columns that fit, from the left; the first name column takes what is left over."""
    taken: list[tuple[Column, int]] = []
    used = 0
    flexible = next((column for column in columns if column.name in _NAMES), None)
    name = max(_LEAST_NAME, min(_MOST_OF_A_NAME, width // 4))
    for column in columns:
        least = name if column is flexible else column.width
        step = least + (1 if taken else 0)
        if used + step > width and taken:
            break
        taken.append((column, min(least, width)))
        used += step
    spare = max(0, width - used)
    return Layout(tuple((column, least + spare if column is flexible else least) for column, least in taken), width)


def heading(layout: Layout, sort: str, *, descending: bool) -> Line:
    """Titles of the columns; the one that is sorted by has an arrow."""
    line: Line = []
    for column, width in layout.columns:
        is_sorted = column.name == sort
        title = f"{column.title}{'▼' if descending else '▲'}" if is_sorted else column.title
        text = fit(title, width) if column.is_text else title[-width:].rjust(width)
        _append(line, (text, "sorted" if is_sorted else "heading"))
    return line


def row_line(row: Row, layout: Layout) -> Line:
    """One row, exactly as wide as the layout."""
    line: Line = []
    for column, width in layout.columns:
        if column.name == "name":
            run: tuple[str, Style] = (name_cell(row, width), _name_style(row))
        elif row.entry is None:
            run = (" " * width, "")
        else:
            run = cell(row.entry, column, width)
        _append(line, run)
    return line


def _append(line: Line, run: tuple[str, Style]) -> None:
    """Add a cell behind a blank. Few and long runs: each costs the terminal's library as much as all its characters."""
    if not line:
        line.append(run)
        return
    text, style = run
    before, last = line[-1]
    if style == last and style in _PLAIN:
        line[-1] = (f"{before} {text}", style)
    elif style == "":
        line.append((f" {text}", ""))
    elif last == "":
        line[-1] = (f"{before} ", "")
        line.append(run)
    else:
        line += [(" ", ""), run]


def name_cell(row: Row, width: int) -> str:
    """The name, indented, with a fold mark where something is below."""
    unfolded = "- " if row.folds is False else "  " if row.depth else ""
    mark = "+ " if row.folds else unfolded
    indent = "  " * min(row.depth, max(0, width // 4))
    return fit(indent + mark + row.label, width)


def cell(entry: Entry, column: Column, width: int) -> tuple[str, Style]:
    """One value, exactly ``width`` cells."""
    value = column.value(entry)
    style = level(column.name, value, entry)
    if column.is_text:
        return fit(number(value, column.kind), width), style
    text = number(value, column.kind)
    mark = column.mark(entry)
    if style == "critical" and not mark and len(text) < width:
        text = f"!{text}"  # never by colour alone
    text = right(text, width - len(mark)) + mark
    return text, style if value is not None else "dim"


def as_text(line: Line) -> str:
    """Without trailing blanks, for pipes."""
    return "".join(text for text, _style in line).rstrip()


def _name_style(row: Row) -> Style:
    if row.entry is None:
        return "title"
    if row.entry.is_new:
        return "new"
    return "context" if row.is_context else "name"
