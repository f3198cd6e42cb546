"""The table of rules in docs/alerts.md, made from the rules themselves."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Final

from cgscope.quantities import format_duration
from exporters.alerts.rule import Level, Rule

PATH: Final = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "alerts.md")
MARK: Final = "<!-- made by `make rules` from here on -->\n"
"""What is below this line in the document is written anew."""


def table(rules: Iterable[Rule]) -> str:
    """Write the section about all rules."""
    lines = ["\n## All rules\n", "\nLevels are `raise` (`clear`), `for`.\n"]
    group = None
    for rule in rules:
        if rule.group != group:
            group = rule.group
            lines.append(f"\n### {group}\n\n| alert | value | info | warning | critical |\n|---|---|---|---|---|\n")
        link = f"[{rule.alert}](runbooks/{rule.alert}.md)"
        levels = " | ".join(_level(rule, rule.levels.get(one)) for one in ("info", "warning", "critical"))
        value = rule.value.replace("|", "\\|")
        lines.append(f"| {link} | `{value}` | {levels} |\n")
    return "".join(lines)


def rewritten(document: str, rules: Iterable[Rule]) -> str:
    """Give the document with the section as it has to be."""
    head, mark, _ = document.partition(MARK)
    return f"{head}{mark}{table(rules)}"


def _level(rule: Rule, level: Level | None) -> str:
    if level is None:
        return ""
    sign = ">" if rule.above else "<"
    text = f"{sign} {_number(rule, level.raise_at)}"
    if level.clear_at != level.raise_at:
        text += f" ({_number(rule, level.clear_at)})"
    if level.for_seconds:
        text += f", {format_duration(level.for_seconds)}"
    only = ", ".join(f"{name}={value}" for name, value in level.only)
    return f"{text}, {only}" if only else text


def _number(rule: Rule, value: float) -> str:
    return f"{value * 100:g} %" if rule.unit == "ratio" else f"{value:g}"
