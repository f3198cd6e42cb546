"""How a cost grows with its size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple


class Slope(NamedTuple):
    """``each``: cost of one more, from the smallest size to the largest; ``power``: 1 grows in proportion, 0 not."""

    each: float
    power: float | None


def slope(points: Sequence[tuple[float, float]]) -> Slope | None:
    """Fit (size, cost): least squares, for the power over logarithms. None for fewer than two different sizes."""
    each = _fit(points)
    logarithms = [(math.log(size), math.log(cost)) for size, cost in points if size > 0 and cost > 0]
    return None if each is None else Slope(each, _fit(logarithms))


def _fit(points: Sequence[tuple[float, float]]) -> float | None:
    if len({x for x, _y in points}) < 2:
        return None
    middle_x = sum(x for x, _y in points) / len(points)
    middle_y = sum(y for _x, y in points) / len(points)
    spread = sum((x - middle_x) ** 2 for x, _y in points)
    return sum((x - middle_x) * (y - middle_y) for x, y in points) / spread
