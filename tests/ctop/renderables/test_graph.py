"""Graphs out of block characters."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ctop.renderables.graph import Graph, graph_lines
from ctop.renderables.lines import plain


def drawn(
    values: list[float | None], width: int, height: int, limit: float | None = None, floor: float = 0.0
) -> list[str]:
    """Return the lines below the title."""
    return [plain(line) for line in graph_lines(Graph("g", values, "decimal", limit, floor), width, height)[1:]]


def test_heights_are_proportional() -> None:
    """Full, half, a quarter; unknown is empty."""
    assert drawn([8.0, 4.0, 2.0, None, 0.0], 5, 1) == ["█▄▂  "]


def test_the_newest_is_on_the_right() -> None:
    """And what does not fit is the oldest."""
    assert drawn([1.0, 0.5], 4, 1) == ["  █▄"]
    assert drawn([1.0, 0.0, 1.0], 2, 1) == [" █"]


def test_the_limit_is_drawn_in() -> None:
    """Usage at half of the limit: the line is above."""
    assert drawn([1.0, 1.0], 4, 2, limit=2.0) == ["┈┈┈┈", "  ██"]


def test_a_far_limit_does_not_flatten() -> None:
    """A limit of more than twenty times the highest value is named in the title only, with an arrow."""
    assert drawn([1.0], 1, 1, limit=100.0) == ["█"]


def test_little_is_not_nothing() -> None:
    """A small value beside a large one is still seen."""
    assert drawn([1000.0, 0.001], 2, 1) == ["█▁"]


def test_the_floor_keeps_noise_flat() -> None:
    """A quiet series does not fill the graph."""
    assert drawn([0.01], 1, 1, floor=1.0) == ["▁"]


@given(st.lists(st.none() | st.floats(0, 1e18)), st.integers(1, 50), st.integers(1, 10), st.none() | st.floats(0, 1e18))
def test_any_values_fit(values: list[float | None], width: int, height: int, limit: float | None) -> None:
    """Whatever is measured: the asked number of lines, each exactly as wide."""
    lines = drawn(values, width, height, limit)
    assert [len(line) for line in lines] == [width] * height
