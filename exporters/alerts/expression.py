"""Expressions of rules: a subset of PromQL, so that this exporter and Prometheus evaluate the same text.

There are selectors with matchers, ranges and ``offset``; ``+ - * /``; comparisons, which filter; ``and``, ``or``,
``unless``; ``on`` and ``ignoring``, ``group_left``; the functions of `RANGE_FUNCTIONS` and `PLAIN_FUNCTIONS`; and the
aggregations of `AGGREGATIONS` with ``by`` or ``without``. What PromQL has beyond that is refused, never guessed.

Source: prometheus.io/docs/prometheus/latest/querying/basics and operators.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

RANGE_FUNCTIONS: Final = frozenset(
    {"rate", "increase", "delta", "changes", "max_over_time", "min_over_time", "avg_over_time", "count_over_time"}
)
"""Functions of what a range selector gives."""

PLAIN_FUNCTIONS: Final = frozenset({"abs", "time"})
"""Functions of a vector, and of nothing."""

AGGREGATIONS: Final = frozenset({"sum", "max", "min", "avg", "count"})
"""What many series are made one by."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number as it is written."""

    value: float


@dataclass(frozen=True, slots=True)
class Matcher:
    """A condition on one label; ``pattern`` is text, or a regular expression that has to match the whole value."""

    label: str
    operator: Literal["=", "!=", "=~", "!~"]
    pattern: str


@dataclass(frozen=True, slots=True)
class Selector:
    """Series of one metric: their values now, or, with a range, those of the last ``range_seconds``."""

    name: str
    matchers: tuple[Matcher, ...] = ()
    range_seconds: float | None = None
    offset_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Matching:
    """Which labels decide that two series belong together; ``many`` is group_left, with labels to copy."""

    on: bool = False
    labels: tuple[str, ...] = ()
    many: bool = False
    copied: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Binary:
    """Two expressions and what is between them."""

    operator: str
    left: Expression
    right: Expression
    matching: Matching = Matching()


@dataclass(frozen=True, slots=True)
class Call:
    """A function of at most one argument."""

    function: str
    argument: Expression | None


@dataclass(frozen=True, slots=True)
class Aggregate:
    """Many series made one for each combination of the labels that are kept."""

    function: str
    argument: Expression
    by: bool
    labels: tuple[str, ...]


Expression = Number | Selector | Binary | Call | Aggregate


def selectors(expression: Expression) -> Iterator[Selector]:
    """Yield everything that an expression reads."""
    match expression:
        case Selector():
            yield expression
        case Binary(left=left, right=right):
            yield from selectors(left)
            yield from selectors(right)
        case Call(argument=argument) if argument is not None:
            yield from selectors(argument)
        case Aggregate(argument=argument):
            yield from selectors(argument)
