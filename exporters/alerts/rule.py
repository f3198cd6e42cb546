"""What a rule is: a value, the levels at which it is raised and cleared again, and what is then said.

An alert of one severity is raised when the value passes ``raise`` (and the gate is open) for as long as ``for``; once
it fires, it stays until the value is back at ``clear``. So a value that wavers around one level does not flap.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from exporters.alerts.expression import Expression, Selector, selectors
from exporters.alerts.promql import parse
from exporters.alerts.series import LOOKBACK_SECONDS

Severity = Literal["info", "warning", "critical"]
SEVERITIES: Final[tuple[Severity, ...]] = ("info", "warning", "critical")
Unit = Literal["ratio", "count", "bytes", "seconds"]
UNITS: Final[tuple[Unit, ...]] = ("ratio", "count", "bytes", "seconds")

_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class Level:
    """When one severity begins and ends.

    ``only`` restricts it to series with these labels. Without ``gated`` it does not ask the rule's gate.
    """

    raise_at: float
    clear_at: float
    for_seconds: float = 0.0
    only: tuple[tuple[str, str], ...] = ()
    gated: bool = True


@dataclass(frozen=True, slots=True)
class Rule:
    """One alert with its severities.

    ``worst`` is what the text names the greatest of, by container; ``detail`` is a metric of the same container, whose
    labels it names.
    """

    alert: str
    group: str
    value: str
    summary: str
    description: str
    unit: Unit = "count"
    above: bool = True
    gate: str = ""
    worst: str = ""
    detail: str = ""
    levels: Mapping[Severity, Level] = field(default_factory=dict)
    prometheus_only: bool = False

    @property
    def record(self) -> str:
        """Name of the recording rule that has the value."""
        return f"cgscope:{_HUMP.sub('_', self.alert).lower()}"

    @property
    def expressions(self) -> Iterator[Expression]:
        """Yield everything that has to be evaluated."""
        for text in (self.value, self.gate, self.worst, self.detail):
            if text:
                yield parse(text)

    @property
    def selectors(self) -> Iterator[Selector]:
        """Yield everything that is read."""
        for expression in self.expressions:
            yield from selectors(expression)


def reach(rules: Iterator[Rule]) -> dict[str, float]:
    """Map each metric that rules read to how far back they look, seconds."""
    found: dict[str, float] = {}
    for rule in rules:
        for one in rule.selectors:
            back = (one.range_seconds or 0.0) + one.offset_seconds
            if one.offset_seconds and one.range_seconds is None:
                back += LOOKBACK_SECONDS
            found[one.name] = max(found.get(one.name, 0.0), back)
    return found
