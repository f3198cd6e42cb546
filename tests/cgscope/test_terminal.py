"""Tables and colour."""

from __future__ import annotations

import io

import pytest

from cgscope.suggest import did_you_mean, nearest
from cgscope.terminal import columns, paint, wants_colour


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Yes."""
        return True


def test_columns_are_as_wide_as_needed() -> None:
    """Cells line up, and lines have no blanks at their end."""
    assert columns([("a", "bb", ""), ("ccc", "d", "e")]) == "a    bb\nccc  d   e\n"
    assert columns([]) == ""


def test_colour_is_for_terminals_that_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """No colour in files, with NO_COLOR, or on a dumb terminal."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert wants_colour(Screen())
    assert not wants_colour(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not wants_colour(Screen())
    monkeypatch.setenv("NO_COLOR", "")
    monkeypatch.setenv("TERM", "dumb")
    assert not wants_colour(Screen())


def test_paint_without_colour_changes_nothing() -> None:
    """Colour is an addition: the text is the same without it."""
    assert paint("x", "red", colour=False) == "x"
    assert paint("x", "red", colour=True) == "\033[31mx\033[0m"


def test_suggestions() -> None:
    """Similar words and beginnings are suggested, best first; dissimilar ones are not."""
    assert nearest("web", ["web-1", "db", "wbe"]) == ["web-1", "wbe"]
    assert did_you_mean("memifno", ["meminfo", "stat"]) == "did you mean meminfo?"
    assert did_you_mean("x", ["meminfo", "stat"]) == ""
