"""Results as pictures (SVG, without any library): bars for what has one size, lines for what has several."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Final

from benchmarks.results import Results, Row
from benchmarks.tables import number, title

COLOURS: Final = ("#0b7285", "#e8590c", "#5f3dc4", "#2b8a3e", "#868e96", "#c2255c", "#a17400", "#1864ab")
_WIDTH: Final = 760
_LEFT: Final = 250
_BAR: Final = 18
_STYLE: Final = "text{font:13px sans-serif;fill:#212529}.d{fill:#868e96}"
FIGURES: Final = ("p50_usec", "cpu_usec", "cpu_msec", "latency_msec", "rss_mib", "first_seconds")
"""What is worth a picture."""


def write(results: Results, folder: Path) -> list[str]:
    """Write every picture, and remove those of cases that are no more; returns their names."""
    written = {file_name(name): picture for name, picture in pictures(results)}
    for old in folder.glob("*.svg"):
        if old.name not in written:
            old.unlink()
    for name, picture in written.items():
        (folder / name).write_text(picture, encoding="utf-8")
    return sorted(written)


def pictures(results: Results) -> Iterator[tuple[str, str]]:
    """Yield (name, picture)."""
    for figure in FIGURES:
        rows = [row for row in results.rows if row.figure == figure and row.size is None]
        if rows:
            yield f"{figure}", bars(rows, title(figure))
    for case, figure, lines in results.series():
        if figure in FIGURES:
            yield f"{case} {figure}", growth(lines, f"{case}: {title(figure)}")


def bars(rows: Sequence[Row], heading: str) -> str:
    """A bar per row on a logarithmic scale, with a whisker from the least to the most of the rounds."""
    most = max(max(row.values) for row in rows) or 1
    least = min((value for row in rows for value in row.values if value > 0), default=most / 10)
    low = math.log10(least) - 0.15
    scale = (_WIDTH - _LEFT - 90) / max(math.log10(most) - low, 0.1)
    parts, y, case = [], 34, ""
    names = list(dict.fromkeys(row.candidate for row in rows))
    for row in sorted(rows, key=lambda row: [one.case for one in rows].index(row.case)):
        if row.case != case:
            case, y = row.case, y + 6
        start, end, middle = (
            scale * max(0.0, math.log10(max(value, least)) - low)
            for value in (min(row.values), max(row.values), row.median)
        )
        colour = COLOURS[names.index(row.candidate) % len(COLOURS)]
        parts.append(
            f'<text x="{_LEFT - 6}" y="{y + 13}" text-anchor="end">{escape(f"{row.case}, {row.candidate}")}</text>'
            f'<rect x="{_LEFT}" y="{y + 2}" width="{middle:.1f}" height="{_BAR - 4}" fill="{colour}"/>'
            f'<path d="M{_LEFT + start:.1f} {y + 9}H{_LEFT + end:.1f}" stroke="#212529"/>'
            f'<text x="{_LEFT + max(end, middle) + 5:.1f}" y="{y + 13}" class="d">{number(row.median)}</text>'
        )
        y += _BAR
    return _page(parts, f"{heading} (logarithmic; lines: least to most of the rounds)", y + 10)


def growth(lines: Sequence[Sequence[Row]], heading: str) -> str:
    """Lines over size, both scales logarithmic."""
    points = [(row.size or 1, max(row.median, 1e-3)) for line in lines for row in line]
    (x0, x1), (y0, y1) = (
        (math.log10(min(values)), math.log10(max(values)) or 1.0) for values in zip(*points, strict=True)
    )

    def place(row: Row) -> tuple[float, float]:
        across = (math.log10(row.size or 1) - x0) / max(x1 - x0, 0.1)
        up = (math.log10(max(row.median, 1e-3)) - y0) / max(y1 - y0, 0.1)
        return 40 + across * 480, 300 - up * 240

    parts = []
    for index, line in enumerate(lines):
        colour = COLOURS[index % len(COLOURS)]
        path = "L".join("{:.1f} {:.1f}".format(*place(row)) for row in line)
        parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for row in line:
            x, y = place(row)
            parts.append(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>'
                f'<text x="{x:.1f}" y="{y - 7:.1f}" text-anchor="middle" class="d">{number(row.median)}</text>'
            )
        parts.append(f'<text x="560" y="{60 + 20 * index}" style="fill:{colour}">{escape(line[0].candidate)}</text>')
    of = lines[0][0].of
    for size in sorted({row.size or 1 for line in lines for row in line}):
        x = 40 + (math.log10(size) - x0) / max(x1 - x0, 0.1) * 480
        parts.append(f'<text x="{x:.1f}" y="325" text-anchor="middle">{number(size)}</text>')
    parts.append(f'<text x="530" y="325">{escape(of)}</text>')
    return _page(parts, heading, 340)


def _page(parts: Sequence[str], heading: str, height: float) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:.0f}" role="img">'
        f"<style>{_STYLE}</style><title>{escape(heading)}</title>"
        f'<rect width="100%" height="100%" fill="#fff"/><text x="10" y="20">{escape(heading)}</text>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def file_name(name: str) -> str:
    """Where the picture of that name is kept."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") + ".svg"
