"""Samples of the last minutes, as far as rules look back. Memory: 16 bytes per sample.

A series that a snapshot does not have any more gets a marker (NaN) at that time, as Prometheus does, so that what is
gone is gone at once and not five minutes later. Unknown values are absent from snapshots, so NaN is free for that.
"""

from __future__ import annotations

import functools
import math
import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from typing import Final

from exporters.alerts.expression import Matcher, Selector

Labels = frozenset[tuple[str, str]]
"""Labels of a series without its name. A frozenset keeps its hash: looking series up is most of the work."""

LOOKBACK_SECONDS: Final = 300.0
"""A value counts for so long when no newer one came, as in Prometheus."""

NO_LABELS: Final[Labels] = frozenset()


class Series:
    """One series: times (ascending, seconds of the epoch) and values."""

    __slots__ = ("times", "values")

    def __init__(self) -> None:
        self.times = array("d")
        self.values = array("d")

    def append(self, time: float, value: float) -> None:
        """Add a sample that is newer than all others."""
        self.times.append(time)
        self.values.append(value)

    def shift(self, seconds: float) -> None:
        """Have been seen so much later, or earlier."""
        self.times = array("d", [time + seconds for time in self.times])

    def forget(self, before: float) -> None:
        """Drop samples older than a time."""
        count = bisect_left(self.times, before)
        if count:
            del self.times[:count]
            del self.values[:count]

    def at(self, time: float) -> float | None:
        """Give the value at a time; None when there was none."""
        index = bisect_right(self.times, time) - 1
        if index < 0 or self.times[index] <= time - LOOKBACK_SECONDS or math.isnan(self.values[index]):
            return None
        return self.values[index]

    def between(self, begin: float, end: float) -> tuple[list[float], list[float]]:
        """Give times and values of a range, both ends included, without markers."""
        low, high = bisect_left(self.times, begin), bisect_right(self.times, end)
        pairs = [
            pair for pair in zip(self.times[low:high], self.values[low:high], strict=True) if not math.isnan(pair[1])
        ]
        return [time for time, _ in pairs], [value for _, value in pairs]


class Store:
    """All series that rules read. ``reach`` maps a metric's name to how far back they look, seconds."""

    def __init__(self, reach: Mapping[str, float]) -> None:
        self.reach = reach
        self._series: dict[str, dict[Labels, Series]] = {name: {} for name in reach}

    def add(self, time: float, samples: Mapping[str, Mapping[Labels, float]]) -> None:
        """Take over the samples of one moment, later than all before; what is not among them is gone."""
        for name, known in self._series.items():
            new = samples.get(name, {})
            for labels, value in new.items():
                series = known.get(labels)
                if series is None:
                    series = known[labels] = Series()
                series.append(time, value)
            self._end_others(known, new, time)
            self._forget(known, time - self.reach[name])

    def shift(self, seconds: float) -> None:
        """Have seen everything so much later, or earlier: for a clock that was set."""
        for known in self._series.values():
            for series in known.values():
                series.shift(seconds)

    def keep_from(self, other: Store) -> None:
        """Take over what another store knows, as far as it is of use here."""
        for name in self._series:
            self._series[name] = other._series.get(name, {})

    def instant(self, selector: Selector, now: float) -> dict[Labels, float]:
        """Give the values of a selector without range."""
        time = now - selector.offset_seconds
        found = {}
        for labels, series in self._matching(selector):
            value = series.at(time)
            if value is not None:
                found[labels] = value
        return found

    def ranges(self, selector: Selector, now: float) -> Iterator[tuple[Labels, list[float], list[float]]]:
        """Yield labels, times and values of a selector with range."""
        end = now - selector.offset_seconds
        begin = end - (selector.range_seconds or 0.0)
        for labels, series in self._matching(selector):
            times, values = series.between(begin, end)
            if times:
                yield labels, times, values

    def _matching(self, selector: Selector) -> Iterator[tuple[Labels, Series]]:
        known = self._series.get(selector.name, {})
        if not selector.matchers:
            yield from known.items()
            return
        for labels, series in known.items():
            if matches(labels, selector.matchers):
                yield labels, series

    @staticmethod
    def _end_others(known: dict[Labels, Series], new: Mapping[Labels, float], time: float) -> None:
        for labels in known.keys() - new.keys():
            series = known[labels]
            if not math.isnan(series.values[-1]):
                series.append(time, math.nan)

    @staticmethod
    def _forget(known: dict[Labels, Series], before: float) -> None:
        gone = []
        for labels, series in known.items():
            # The last one is kept: it is what an instant selector asks for.
            series.forget(min(before, series.times[-1]))
            if math.isnan(series.values[-1]) and series.times[-1] < before:
                gone.append(labels)
        for labels in gone:
            del known[labels]


@functools.lru_cache(maxsize=65536)
def matches(labels: Labels, matchers: tuple[Matcher, ...]) -> bool:
    """Tell whether labels fulfil all conditions; an absent label is an empty one."""
    values = dict(labels)
    return all(_fulfils(values.get(one.label, ""), one) for one in matchers)


def _fulfils(value: str, matcher: Matcher) -> bool:
    if matcher.operator in ("=", "!="):
        return (value == matcher.pattern) == (matcher.operator == "=")
    return bool(_compiled(matcher.pattern).fullmatch(value)) == (matcher.operator == "=~")


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.DOTALL)
