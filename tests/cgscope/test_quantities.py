"""Sizes and durations as people write them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgscope.quantities import format_duration, format_size, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1048576", 1 << 20),
        ("256M", 256 << 20),
        ("256m", 256 << 20),
        ("1.5G", 3 << 29),
        ("1GiB", 1 << 30),
        ("1Gi", 1 << 30),
        ("1 GB", 1 << 30),
        ("12B", 12),
        ("2T", 2 << 40),
        (" 1k ", 1024),
    ],
)
def test_sizes(text: str, size: int) -> None:
    """Prefixes are powers of 1024, in either case, with or without B."""
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "12Q", "M", "-1", "1.2.3K", "0x10", "1e3", "nan", "1 2", "8E", "9" * 40, "\u0661"]
)
def test_no_sizes(text: str) -> None:
    """What is no size is refused with the text itself in the message."""
    with pytest.raises(ValueError, match="is "):
        parse_size(text)


@given(st.sampled_from([parse_size, parse_duration]), st.text("0123456789.eE+-_kKmMgis ²٣") | st.text(max_size=8))
def test_any_text_is_a_quantity_or_refused(parse: Callable[[str], float], text: str) -> None:
    """What is no quantity raises ValueError and nothing else; none is negative or not a number."""
    with contextlib.suppress(ValueError):
        assert parse(text) >= 0


@given(st.integers(0, 2**63 - 1))
def test_formatted_sizes_are_near(size: int) -> None:
    """A size that was written is read back within the digits that are shown."""
    text = format_size(size)
    assert len(text) <= 5
    assert abs(parse_size(text.replace("8.0E", "7.9E")) - size) <= max(1, size * 0.07)


@pytest.mark.parametrize(
    ("text", "seconds"), [("5", 5), ("1.5s", 1.5), ("200ms", 0.2), ("2m", 120), ("1h", 3600), ("1d", 86400)]
)
def test_durations(text: str, seconds: float) -> None:
    """Seconds unless a unit says otherwise."""
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "s", "-1", "1y", "inf", "1 h 2 m"])
def test_no_durations(text: str) -> None:
    """What is no duration is refused."""
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (7.9, "7s"), (123, "2m03s"), (18_420, "5h07m"), (1_051_200, "12d04h")]
)
def test_formatted_durations(seconds: float, text: str) -> None:
    """Two units say enough."""
    assert format_duration(seconds) == text
