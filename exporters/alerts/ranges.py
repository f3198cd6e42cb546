"""Functions of a range of samples, with Prometheus' own arithmetic.

Source: promql/functions.go of Prometheus 2.42, extrapolatedRate: a counter's growth between the first and the last
sample is extended to the whole window, by at most half an average interval where the series began or ended inside of
it, and never below zero.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Final

_NEAR: Final = 1.1  # average intervals between a sample and the window's edge up to which it is extended all the way


def evaluate(function: str, times: Sequence[float], values: Sequence[float], begin: float, end: float) -> float | None:
    """Call a function of the samples of a window; None: too few of them."""
    if function in _EXTRAPOLATED:
        return _growth(times, values, begin, end, **_EXTRAPOLATED[function])
    return _OVER_TIME[function](values)


def _growth(
    times: Sequence[float],
    values: Sequence[float],
    begin: float,
    end: float,
    *,
    counter: bool,
    per_second: bool,
) -> float | None:
    if len(times) < 2:
        return None
    growth = values[-1] - values[0]
    if counter:  # where it fell it began anew
        growth += sum(before for before, after in itertools.pairwise(values) if after < before)
    to_begin, to_end = times[0] - begin, end - times[-1]
    sampled = times[-1] - times[0]
    average = sampled / (len(times) - 1)
    if counter and growth > 0 and values[0] >= 0:
        to_begin = min(to_begin, sampled * values[0] / growth)  # it was zero then
    extent = sampled
    extent += to_begin if to_begin < average * _NEAR else average / 2
    extent += to_end if to_end < average * _NEAR else average / 2
    factor = extent / sampled
    # In this order: the same digits as Prometheus'.
    return growth * (factor / (end - begin) if per_second else factor)


_EXTRAPOLATED: Final[dict[str, dict[str, bool]]] = {
    "rate": {"counter": True, "per_second": True},
    "increase": {"counter": True, "per_second": False},
    "delta": {"counter": False, "per_second": False},
}

_OVER_TIME: Final[dict[str, Callable[[Sequence[float]], float]]] = {
    "changes": lambda values: float(sum(a != b for a, b in itertools.pairwise(values))),
    "max_over_time": max,
    "min_over_time": min,
    "avg_over_time": lambda values: sum(values) / len(values),
    "count_over_time": lambda values: float(len(values)),
}
