"""Mistakes on a command line become one line with advice."""

from __future__ import annotations

import pytest

from cgscope.arguments import Parser, value
from cgscope.errors import UsageError
from cgscope.quantities import parse_size


@pytest.fixture
def parser() -> Parser:
    """Some options."""
    parser = Parser(prog="tool")
    parser.add_argument("--memory", type=value(parse_size))
    parser.add_argument("--view", choices=["quota", "cpuset"])
    return parser


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--memroy", "1G"], "--memory"),
        (["--memroy=1G"], "--memory"),
        (["--view", "quoat"], "did you mean quota?"),
        (["--memory", "12Q"], "'12Q' is not a size"),
        (["--memory"], "tool --help"),
        (["--mem", "1G"], "--memory"),
        (["surplus"], "surplus"),
    ],
)
def test_mistakes(parser: Parser, words: list[str], expected: str) -> None:
    """The error names what was wrong and what is nearest to it; abbreviations are mistakes, too."""
    with pytest.raises(UsageError) as caught:
        parser.parse_args(words)
    assert expected in str(caught.value)
    assert caught.value.code == 2


def test_values(parser: Parser) -> None:
    """What is right is converted."""
    assert parser.parse_args(["--memory", "1K", "--view", "cpuset"]).memory == 1024
