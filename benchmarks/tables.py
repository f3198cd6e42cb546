"""Results as tables for a terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks.bars import Verdict
from benchmarks.results import FLOOR, Results, Row
from benchmarks.slopes import slope

_UNITS = {"usec": "us", "msec": "ms", "mib": "MiB", "bytes": "bytes", "seconds": "s", "count": ""}

Table = tuple[Sequence[str], Sequence[Sequence[str]]]
"""Head, rows; the first column is text, the others are numbers."""


def number(value: float | None) -> str:
    """Three digits that matter."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def title(figure: str) -> str:
    """A figure's name for people: ``p50, us``."""
    words, _, unit = figure.rpartition("_")
    known = _UNITS.get(unit)
    return figure.replace("_", " ") if known is None else f"{words.replace('_', ' ')}, {known}".rstrip(", ")


def cases(results: Results) -> Table:
    """Every case and candidate: medians, spread over the rounds, how far from the floor."""
    rows = []
    for name, figure, found in results.groups():
        floor = next((row.median for row in found if row.candidate == FLOOR), None)
        rows += [_case(name, figure, row, floor) for row in found]
    return ("case", "candidate", "figure", "median", "of rounds", "x floor"), rows


def _case(name: str, figure: str, row: Row, floor: float | None) -> list[str]:
    spread = f"{number(min(row.values))} to {number(max(row.values))}" if len(row.values) > 1 else ""
    over = number(row.median / floor) if floor and row.candidate != FLOOR else ""
    return [name, row.candidate, title(figure), number(row.median), spread, over]


def slopes(results: Results) -> Table:
    """How costs grow."""
    rows = []
    for case, figure, lines in results.series():
        for line in lines:
            found = slope([(row.size or 0, row.median) for row in line])
            if found is not None:
                sizes = f"{number(line[0].size)} to {number(line[-1].size)} {line[0].of}"
                rows.append([case, line[0].candidate, title(figure), sizes, number(found.each), number(found.power)])
    return ("case", "candidate", "figure", "sizes", "one more costs", "power"), rows


def judged(verdicts: Iterable[Verdict]) -> Table:
    """Bars and whether they hold."""
    rows = [
        [
            one.bar.what.replace(one.bar.figure, title(one.bar.figure)),
            number(one.bar.at_most),
            number(one.measured),
            one.word,
        ]
        for one in verdicts
    ]
    return ("bar", "at most", "measured", "verdict"), rows


def text(table: Table) -> str:
    """For a terminal."""
    head, rows = table
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = [
        "  ".join(
            word.ljust(width) if column < 3 else word.rjust(width) for column, (word, width) in _columns(row, widths)
        )
        for row in (head, *rows)
    ]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def markdown(table: Table) -> str:
    """For a page."""
    head, rows = table
    return "".join("| " + " | ".join(row) + " |\n" for row in (head, ["---"] * len(head), *rows))


def _columns(row: Sequence[str], widths: Sequence[int]) -> Iterable[tuple[int, tuple[str, int]]]:
    return enumerate(zip(row, widths, strict=True))
