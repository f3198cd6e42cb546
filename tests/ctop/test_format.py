"""Values and strangers' names as cells of a fixed width."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from cgroup_model.snapshot import UNLIMITED
from ctop.format import FORMATS, clean, count, fit, number, percent, right, trim

HOSTILE = ["\x1b[2J\x1b[H", "a\nb", "a\rb", "\x07", "\u202eevil", "\u200b", "\udcff", "\x9b31m", "\0"]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_cannot_steer_the_terminal(name: str) -> None:
    """Escape sequences, line breaks, writing directions and undecodable bytes come out spelled."""
    assert clean(name).isprintable()
    assert clean(name).encode()


@given(st.text())
def test_any_name_is_one_printable_line(name: str) -> None:
    """Whatever a cgroup is called, it can be written to a terminal."""
    assert clean(name).isprintable() or not name
    assert "\n" not in clean(name)


def test_heaps_of_combining_characters_are_thinned() -> None:
    """A hundred accents on one letter would reach into other lines."""
    assert len(clean("e" + "\u0301" * 100)) == 3


@given(st.text(), st.integers(0, 60))
def test_fit_fills_exactly(name: str, width: int) -> None:
    """Wide and combining characters included: columns behind a name stay where they are."""
    assert cell_len(fit(clean(name), width)) == width
    assert cell_len(trim(clean(name), width)) == width


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("web", 5, "web  "),
        ("project-web-1", 9, "proj…eb-1"),
        ("日本語日本語", 6, "日… 語"),
        ("abc", 2, "ab"),
        ("", 3, "   "),
    ],
)
def test_names_are_cut_in_the_middle(text: str, width: int, expected: str) -> None:
    """Prefixes are often shared (compose projects), so both ends are kept."""
    assert fit(text, width) == expected


def test_unknown_unlimited_and_zero_differ() -> None:
    """Three things, three texts, in every kind of column."""
    for kind in FORMATS:
        texts = {number(None, kind), number(UNLIMITED, kind), number(0, kind)}
        assert len(texts) == 3
        assert {"-", "max"} < texts


@given(st.floats(0, 99_999))
def test_percent_has_at_most_five_characters(value: float) -> None:
    """1000 CPUs busy are 100,000 %: the column does not jump below that."""
    assert len(percent(value)) <= 5


@given(st.integers(0, 10**14))
def test_count_has_at_most_five_characters(value: int) -> None:
    """So that its column never overflows."""
    assert len(count(value)) <= 5


def test_a_number_is_never_cut() -> None:
    """Part of a number would be a wrong number."""
    assert right("123456", 4) == ">>>>"
