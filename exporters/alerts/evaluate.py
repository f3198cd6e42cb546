"""Expression + samples -> values, as Prometheus has it.

Source: promql/engine.go of Prometheus 2.42. A vector maps labels (without the metric's name) to values; a scalar is a
float. Two series of one side that match the same series of the other are an error in Prometheus; here, too.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from exporters.alerts.expression import Aggregate, Binary, Call, Expression, Matching, Number, Selector
from exporters.alerts.ranges import evaluate as evaluate_range
from exporters.alerts.series import NO_LABELS, Labels, Store

Vector = dict[Labels, float]

_ARITHMETIC: Final[dict[str, Callable[[float, float], float]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
}
_COMPARISONS: Final[dict[str, Callable[[float, float], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_AGGREGATIONS: Final[dict[str, Callable[[list[float]], float]]] = {
    "sum": sum,
    "max": max,
    "min": min,
    "avg": lambda values: sum(values) / len(values),
    "count": lambda values: float(len(values)),
}
_SETS: Final = frozenset({"and", "or", "unless"})


class EvaluationError(Exception):
    """Series do not fit together as the expression wants it."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What expressions are evaluated over: samples, and the time in seconds of the epoch."""

    store: Store
    now: float


def evaluate(expression: Expression, moment: Moment) -> Vector:
    """Evaluate an expression; a scalar becomes one series without labels. Raises `EvaluationError`."""
    found = _evaluate(expression, moment)
    return {NO_LABELS: found} if isinstance(found, float) else found


def _evaluate(expression: Expression, moment: Moment) -> Vector | float:
    match expression:
        case Number(value=value):
            return value
        case Selector():
            if expression.range_seconds is not None:
                raise EvaluationError("a range needs a function around it")
            return moment.store.instant(expression, moment.now)
        case Call():
            return _call(expression, moment)
        case Aggregate():
            return _aggregate(expression, moment)
        case Binary():
            return _binary(expression, moment)


def _call(call: Call, moment: Moment) -> Vector | float:
    match call.argument:
        case None:
            return moment.now  # time()
        case Selector(range_seconds=float()) as selector:
            return _over_range(call.function, selector, moment)
        case argument:
            return {labels: abs(value) for labels, value in _vector(argument, moment).items()}


def _vector(expression: Expression, moment: Moment) -> Vector:
    found = _evaluate(expression, moment)
    if isinstance(found, float):
        raise EvaluationError("expected series, found a number")
    return found


def _over_range(function: str, selector: Selector, moment: Moment) -> Vector:
    end = moment.now - selector.offset_seconds
    begin = end - (selector.range_seconds or 0.0)
    found = {}
    for labels, times, values in moment.store.ranges(selector, moment.now):
        value = evaluate_range(function, times, values, begin, end)
        if value is not None:
            found[labels] = value
    return found


def _aggregate(expression: Aggregate, moment: Moment) -> Vector:
    groups: dict[Labels, list[float]] = {}
    for labels, value in _vector(expression.argument, moment).items():
        key = _kept(labels, expression.labels) if expression.by else _without(labels, expression.labels)
        groups.setdefault(key, []).append(value)
    function = _AGGREGATIONS[expression.function]
    return {key: function(values) for key, values in groups.items()}


# ----------------------------------------------------------------------------------------------- operators


def _binary(expression: Binary, moment: Moment) -> Vector | float:
    left, right = _evaluate(expression.left, moment), _evaluate(expression.right, moment)
    if expression.operator in _SETS:
        if isinstance(left, float) or isinstance(right, float):
            raise EvaluationError(f"{expression.operator} joins series, not numbers")
        return _set(expression.operator, left, right, expression.matching)
    if isinstance(left, float) and isinstance(right, float):
        value = _operate(expression.operator, left, right, left)
        return value if value is not None else {}
    if isinstance(right, float):
        return _filtered((labels, _operate(expression.operator, value, right, value)) for labels, value in left.items())  # type: ignore[union-attr]
    if isinstance(left, float):
        return _filtered((labels, _operate(expression.operator, left, value, value)) for labels, value in right.items())
    return _joined(expression, left, right)


def _filtered(pairs: Iterable[tuple[Labels, float | None]]) -> Vector:
    return {labels: value for labels, value in pairs if value is not None}


def _operate(sign: str, left: float, right: float, kept: float) -> float | None:
    """Calculate, or compare and keep a value; None: filtered out."""
    if sign in _COMPARISONS:
        return kept if _COMPARISONS[sign](left, right) else None
    if sign == "/":
        return _divided(left, right)
    return _ARITHMETIC[sign](left, right)


def _divided(left: float, right: float) -> float:
    if right:
        return left / right
    return float("inf") * left if left else float("nan")  # as floating point has it; Python would raise


def _joined(expression: Binary, left: Vector, right: Vector) -> Vector:
    """Match each series of the left with one of the right."""
    matching = expression.matching
    partners: dict[Labels, tuple[Labels, float]] = {}
    for labels, value in right.items():
        key = _key(labels, matching)
        if key in partners:
            raise EvaluationError(f"several series on the right match {dict(key)}")
        partners[key] = labels, value
    found: Vector = {}
    for labels, value in left.items():
        key = _key(labels, matching)
        if key not in partners:
            continue
        partner, other = partners[key]
        result = _operate(expression.operator, value, other, value)
        if result is None:
            continue
        named = _result_labels(labels, partner, expression)
        if named in found:
            raise EvaluationError(f"several series on the left match {dict(key)}; use group_left")
        found[named] = result
    return found


def _result_labels(labels: Labels, partner: Labels, expression: Binary) -> Labels:
    matching = expression.matching
    if matching.many:
        return _with(labels, partner, matching.copied) if matching.copied else labels
    return _key(labels, matching)


def _set(sign: str, left: Vector, right: Vector, matching: Matching) -> Vector:
    keys = {_key(labels, matching) for labels in (left if sign == "or" else right)}
    if sign == "or":
        return left | {labels: value for labels, value in right.items() if _key(labels, matching) not in keys}
    return {labels: value for labels, value in left.items() if (_key(labels, matching) in keys) == (sign == "and")}


def _key(labels: Labels, matching: Matching) -> Labels:
    if matching.on:
        return _kept(labels, matching.labels)
    return _without(labels, matching.labels) if matching.labels else labels


@functools.lru_cache(maxsize=65536)
def _kept(labels: Labels, names: tuple[str, ...]) -> Labels:
    return frozenset(pair for pair in labels if pair[0] in names)


@functools.lru_cache(maxsize=65536)
def _without(labels: Labels, names: tuple[str, ...]) -> Labels:
    return frozenset(pair for pair in labels if pair[0] not in names)


@functools.lru_cache(maxsize=65536)
def _with(labels: Labels, partner: Labels, names: tuple[str, ...]) -> Labels:
    return _without(labels, names) | _kept(partner, names)
