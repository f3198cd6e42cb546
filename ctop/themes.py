"""Themes: symbolic styles to colours. Pure data.

No theme tells anything by colour alone: critical values also have ``!``, sorting has an arrow, bars have a length.
``terminal`` uses the terminal's own 16 colours; ``safe`` is for people who do not tell red from green (blue and orange,
after Okabe and Ito); ``mono`` has no colour at all and is what ``NO_COLOR`` chooses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from ctop.renderables.lines import Style

if TYPE_CHECKING:
    from rich.style import Style as RichStyle


@dataclass(frozen=True)
class Theme:
    """A name and the words of a style, as rich has them, for each symbolic one."""

    name: str
    words: Mapping[Style, str]

    @cached_property
    def styles(self) -> Mapping[Style, RichStyle]:
        """What rich makes of the words."""
        from rich.style import Style as RichStyle  # noqa: PLC0415 - the first frame does without

        return {style: RichStyle.parse(words) for style, words in self.words.items()}


def _theme(name: str, /, **given: str) -> Theme:
    rows: dict[Style, str] = {
        "": "",
        "dim": "dim",
        "title": "bold",
        "heading": "reverse",
        "sorted": "reverse bold",
        "name": "",
        "context": "dim",
        "new": "bold",
        "ok": "",
        "warn": "bold",
        "critical": "bold reverse",
        "hint": "italic",
        "selected": "reverse",
        "graph": "",
    }
    return Theme(name, {style: given.get(style, default) for style, default in rows.items()})


THEMES: Final = {
    theme.name: theme
    for theme in (
        _theme(
            "terminal",
            title="bold cyan",
            name="bold",
            new="bold green",
            ok="green",
            warn="yellow",
            critical="bold red",
            graph="cyan",
            selected="reverse",
        ),
        _theme(
            "safe",
            title="bold #56b4e9",
            name="bold",
            new="bold #0072b2",
            ok="#56b4e9",
            warn="#e69f00",
            critical="bold #d55e00 underline",
            graph="#56b4e9",
        ),
        _theme("contrast", title="bold white", name="bold white", ok="white", warn="bold yellow", graph="white"),
        _theme("mono"),
    )
}
"""All themes by name."""


def choose(name: str | None, environ: Mapping[str, str]) -> Theme:
    """The theme of that name, unless ``NO_COLOR`` (no-color.org) or a terminal without colours decides."""
    if environ.get("NO_COLOR") or environ.get("TERM") in {"dumb", "vt100", "vt220", "linux-m"}:
        return THEMES["mono"]
    return THEMES.get(name or "terminal", THEMES["terminal"])
