"""Lines as runs of text with symbolic styles, which themes turn into colours (`ctop.themes`)."""

from __future__ import annotations

from typing import Literal

Style = Literal[
    "",
    "dim",
    "title",
    "heading",
    "sorted",
    "name",
    "context",
    "new",
    "ok",
    "warn",
    "critical",
    "hint",
    "selected",
    "graph",
]
Run = tuple[str, Style]
Line = list[Run]


def plain(line: Line) -> str:
    """The text of a line alone."""
    return "".join(text for text, _style in line)
