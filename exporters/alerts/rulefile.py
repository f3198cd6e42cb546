"""YAML -> rules. Every metric that a rule names has to be in the exporter's catalogue; every error says where it is."""

from __future__ import annotations

import functools
import itertools
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final, cast

import yaml

from cgscope.suggest import did_you_mean
from cgscope.yamlfile import ConfigError, Value, load
from exporters.alerts import fields
from exporters.alerts.expression import Aggregate, Binary, Call, Expression, Selector, selectors
from exporters.alerts.fields import Fields
from exporters.alerts.promql import ExpressionError, parse
from exporters.alerts.rule import SEVERITIES, UNITS, Level, Rule, Severity, Unit
from exporters.families import FAMILIES
from exporters.metric import Metric

SHIPPED: Final = os.path.join(os.path.dirname(__file__), "rules.yml")
"""The rules that come with the exporter."""

_RULE: Final = (
    "value",
    "unit",
    "direction",
    "gate",
    "worst",
    "detail",
    "summary",
    "description",
    "engine",
    *SEVERITIES,
)
_LEVEL: Final = ("raise", "clear", "for", "only", "gated")
_NAME: Final = re.compile(r"[A-Z][A-Za-z0-9]{2,60}")
_OF_COUNTERS: Final = frozenset({"rate", "increase"})
_BY_PROMETHEUS: Final = frozenset({"up"})  # made by the server, not by us


@functools.cache
def shipped_rules() -> Mapping[str, Rule]:
    """Read the rules that come with the exporter: alert -> rule."""
    return read_rules(SHIPPED)


def read_rules(path: str) -> dict[str, Rule]:
    """Read a file of groups of rules. Raises `ConfigError`."""
    document = load(path)
    found: dict[str, Rule] = {}
    for group, _, rules in document.items() if document is not None else ():
        for alert, place, content in rules.items():
            if alert in found:
                raise place.error(f"{alert!r} is given twice")
            found[alert] = new_rule(alert, place, content, group)
    return found


def new_rule(alert: str, place: Value, content: Value, group: str) -> Rule:
    """Read a rule from nothing. Raises `ConfigError`."""
    if not _NAME.fullmatch(alert):
        raise place.error(f"{alert!r} is no name of an alert; example: QueueTooLong")
    given = Fields.of(content, _RULE, "a rule")
    above = given.get("direction", fields.choice("above", "below"), "above") == "above"
    by_prometheus = given.get("engine", fields.choice("both", "prometheus"), "both") == "prometheus"
    rule = Rule(
        alert,
        group,
        value=given.need("value", _expression, ""),
        summary=given.need("summary", _folded, ""),
        description=given.get("description", _folded, ""),
        unit=cast("Unit", given.get("unit", fields.choice(*UNITS), "count")),
        above=above,
        gate=given.get("gate", _expression, ""),
        worst=given.get("worst", _expression, ""),
        detail=given.get("detail", _metric, ""),
        prometheus_only=by_prometheus,
    )
    levels = _levels(rule, given)
    if not levels and not any(severity in given for severity in SEVERITIES):
        raise content.error(f"a rule needs one of {', '.join(SEVERITIES)}")
    return replace(rule, levels=levels)


def changed_rule(rule: Rule, content: Value) -> Rule | None:
    """Change levels of a rule; None: it is switched off. Raises `ConfigError`."""
    if fields.is_off(content):
        return None
    given = Fields.of(content, SEVERITIES, f"a change of {rule.alert}")
    return replace(rule, levels=_levels(rule, given))


# ------------------------------------------------------------------------------------------------- levels


def _levels(rule: Rule, given: Fields) -> dict[Severity, Level]:
    """Read the severities that are given, on top of those that the rule has."""
    before, found = given.place.noted, {}
    for severity in SEVERITIES:
        own = rule.levels.get(severity)
        level = given.get(severity, functools.partial(_level_or_off, rule, own), own)
        if level is not None:
            found[severity] = level
    if given.place.noted == before:
        _check_order(rule, found, given)
    return found


def _level_or_off(rule: Rule, before: Level | None, content: Value) -> Level | None:
    return None if fields.is_off(content) else _level(rule, content, before)


def _level(rule: Rule, content: Value, before: Level | None) -> Level:
    noted = content.noted
    given = Fields.of(content, _LEVEL, "a severity")
    if before is None:
        raise_at = given.need("raise", fields.number, 0.0)
        before = Level(raise_at, raise_at)
    raise_at = given.get("raise", fields.number, before.raise_at)
    # Who moves the one and does not name the other wants the same distance.
    clear_at = given.get("clear", fields.number, before.clear_at + raise_at - before.raise_at)
    only = given.get("only", fields.pairs, dict(before.only))
    for_seconds = given.get("for", fields.duration, before.for_seconds)
    gated = given.get("gated", Value.flag, before.gated)
    if content.noted == noted and ((clear_at > raise_at) if rule.above else (clear_at < raise_at)):
        place = given.found.get("clear", content)
        side = "above" if rule.above else "below"
        raise place.error(f"clear ({clear_at:g}) is {side} raise ({raise_at:g}): the alert would end as it begins")
    return Level(raise_at, clear_at, for_seconds, tuple(only.items()), gated)


def _check_order(rule: Rule, levels: Mapping[Severity, Level], given: Fields) -> None:
    """Refuse a severity that begins before a lesser one."""
    present = [(severity, levels[severity]) for severity in SEVERITIES if severity in levels]
    for (lesser, low), (greater, high) in itertools.pairwise(present):
        if (high.raise_at < low.raise_at) if rule.above else (high.raise_at > low.raise_at):
            place = given.found.get(greater) or given.found.get(lesser) or given.place
            raise place.error(f"{rule.alert}: {greater} ({high.raise_at:g}) begins before {lesser} ({low.raise_at:g})")


# -------------------------------------------------------------------------------------------- expressions


def _folded(value: Value) -> str:
    return " ".join(fields.text(value).split())


def _metric(value: Value) -> str:
    written = fields.text(value)
    if written not in METRICS:
        raise value.error(f"there is no metric {written!r}; {did_you_mean(written, METRICS) or 'see docs/metrics.md'}")
    return written


def _expression(value: Value) -> str:
    """Read an expression and check it against the catalogue."""
    written = fields.text(value)
    try:
        parsed = parse(written)
    except ExpressionError as error:
        raise expression_error(value, str(error), error.at) from error
    for one in selectors(parsed):
        if one.name not in METRICS and one.name not in _BY_PROMETHEUS:
            advice = did_you_mean(one.name, METRICS) or "docs/metrics.md lists them"
            at = value.text().find(one.name)
            raise expression_error(value, f"there is no metric {one.name!r}; {advice}", at)
    _check_types(value, parsed)
    return " ".join(written.split())


def _check_types(value: Value, expression: Expression) -> None:
    """Refuse rates of what is no counter: they are noise."""
    match expression:
        case Call(function=function, argument=Selector(name=name)):
            is_counter = name in METRICS and METRICS[name].type in ("counter", "untyped")
            if function in _OF_COUNTERS and not is_counter:
                raise expression_error(value, f"{function}() wants a counter; {name} is none", value.text().find(name))
        case Call(argument=argument) | Aggregate(argument=argument) if argument is not None:
            _check_types(value, argument)
        case Binary(left=left, right=right):
            _check_types(value, left)
            _check_types(value, right)


def expression_error(value: Value, what: str, at: int) -> ConfigError:
    """Make the error about a character of an expression: its own line and column where the file shows them."""
    node, written, at = value.node, value.text(), max(at, 0)
    line, column = node.start_mark.line + 1, node.start_mark.column + 1
    is_plain = isinstance(node, yaml.ScalarNode) and node.style is None
    if is_plain and node.end_mark.line == node.start_mark.line:
        return ConfigError(value.path, line, column + at, what)
    near = " ".join(written[at : at + 40].split())
    return ConfigError(value.path, line, column, f"{what} (at {near!r})" if near else what)


METRICS: Final[Mapping[str, Metric]] = {one.name: one for family in FAMILIES.values() for one in family.metrics}
"""All metrics of the exporter by name."""
