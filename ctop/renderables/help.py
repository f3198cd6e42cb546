"""Help, made from the key map that is in force."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ctop.format import fit
from ctop.keys import Key, label
from ctop.renderables.lines import Line

_KEYS_WIDTH = 16
_NOTES = (
    "Numbers are rates or present values, never totals. - is unknown, max is unlimited,",
    "^ behind a limit: an ancestor sets it. ! is critical. First looks have no rates.",
    "MEM counts page cache; WSET leaves out inactive cache, as docker stats does.",
)


def help_lines(sections: Sequence[tuple[str, Iterable[Key]]], width: int) -> list[Line]:
    """A line per key, under the headings of the sections."""
    lines: list[Line] = []
    for title, keys in sections:
        lines.append([(fit(title, width), "title")])
        for key in keys:
            names = " ".join(label(name) for name in key.keys)
            lines.append([(fit(f"  {fit(names, _KEYS_WIDTH)} {key.about}", width), "")])
    lines.append([(" " * width, "")])
    lines += [[(fit(note, width), "dim")] for note in _NOTES]
    return lines
