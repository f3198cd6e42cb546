"""A scrape's sheet -> the samples that rules read, without any text in between."""

from __future__ import annotations

import functools
from collections.abc import Collection
from typing import Final

from exporters.alerts.series import Labels
from exporters.families import FAMILIES
from exporters.labels import Names, clean
from exporters.metric import LabelValues
from exporters.sheet import Part, Sheet

_APART: Final = frozenset({"kind", "container_id"})  # only in container_info, whatever --naming
_Pairs = tuple[tuple[str, str], ...]


def families_of(metrics: Collection[str]) -> frozenset[str]:
    """Name the families that have these metrics."""
    return frozenset(
        name for name, family in FAMILIES.items() if any(metric.name in metrics for metric in family.metrics)
    )


class Sampler:
    """Takes values out of sheets. Labels are the same objects from one sheet to the next: they are looked up a lot."""

    def __init__(self) -> None:
        self._known: dict[str, Labels] = {}

    def samples(self, sheet: Sheet, metrics: Collection[str]) -> dict[str, dict[Labels, float]]:
        """Take the values of some metrics: name -> labels -> value."""
        before, self._known = self._known, {}
        found: dict[str, dict[Labels, float]] = {}
        for metric, places in sheet.metrics():
            if metric.name in metrics:
                values = found.setdefault(metric.name, {})
                for part, index in places:
                    self._take(values, part, index, before)
        return found

    def _take(self, values: dict[Labels, float], part: Part, index: int, before: dict[str, Labels]) -> None:
        column = part.group.columns[index]
        for names, own, row in part.rows:
            value = row[index]
            if value is not None:
                labels = self._labels(names, before)
                if own or column.constant:
                    labels = _extended(labels, part.group.labels, own, column.constant)
                values[labels] = float(value)

    def _labels(self, names: Names, before: dict[str, Labels]) -> Labels:
        labels = self._known.get(names.text)
        if labels is None:
            labels = before.get(names.text) or _all(names)
            self._known[names.text] = labels
        return labels


def _all(names: Names) -> Labels:
    """Give all that the page can say of a container, whatever --naming leaves out there."""
    every = {**{name: text for name, text in names.others.items() if name not in _APART}, **names.labels}
    return frozenset(pair for pair in every.items() if pair[1])


@functools.lru_cache(maxsize=65536)
def _extended(labels: Labels, names: tuple[str, ...], values: LabelValues, constant: _Pairs) -> Labels:
    """Add labels of a group and of a column; an empty one is as good as none."""
    own = [*zip(names, values, strict=True), *constant]
    return labels | frozenset((name, clean(value)) for name, value in own if value)
