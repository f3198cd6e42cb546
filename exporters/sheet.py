"""What one scrape found, before anybody knows in which format it is wanted: rows of values, group by group.

Values stay numbers until they are written: 1,000 containers with 100 values are a few megabytes here, and twenty as
text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from exporters.labels import Names
from exporters.metric import Family, Group, LabelValues, Metric

Row = tuple[Names, LabelValues, tuple[Any, ...]]
"""Whose, values of the group's own labels, values in the order of the group's columns."""


@dataclass(slots=True)
class Part:
    """The rows of one group."""

    family: Family
    group: Group
    rows: list[Row] = field(default_factory=list)


class Sheet:
    """The parts of all families that were asked for."""

    def __init__(self, families: Iterable[Family]) -> None:
        self.parts = {family.name: [Part(family, group) for group in family.groups] for family in families}

    def metrics(self) -> Iterator[tuple[Metric, list[tuple[Part, int]]]]:
        """Yield each metric with the places (part, index of the column) of its values, in the order of the page."""
        places: dict[Metric, list[tuple[Part, int]]] = {}
        for parts in self.parts.values():
            for part in parts:
                for index, column in enumerate(part.group.columns):
                    places.setdefault(column.metric, []).append((part, index))
        yield from places.items()
