"""Rules as files for Prometheus; ``python -m exporters.alerts.prometheus`` (`make rules`) writes them and their table.

Each rule becomes a recording rule with its value and an alerting rule per severity. The two levels of a severity are
written with ALERTS, the series in which Prometheus keeps what fires: an alert begins above the one and, once it fires,
stays above the other. Labels and texts are those of this exporter's own alerts: Alertmanager takes both for one.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from typing import Any, Final

import yaml

from exporters.alerts import document
from exporters.alerts.rule import Level, Rule, Severity
from exporters.alerts.rulefile import shipped_rules
from exporters.alerts.text import to_go

FOLDER: Final = os.path.join(os.path.dirname(__file__), "..", "..", "dashboards", "prometheus")
RUNBOOKS: Final = "docs/runbooks/"
"""Where runbooks are when no address is given: in the project itself."""

_INTERVAL: Final = "15s"
_HEAD: Final = """\
# Made from exporters/alerts/rules.yml by `make rules`; do not edit.
"""


def files(rules: Iterable[Rule], runbooks: str = RUNBOOKS) -> dict[str, str]:
    """Write rules: name of a file -> text. One file per group."""
    groups: dict[str, list[Rule]] = {}
    for rule in rules:
        groups.setdefault(rule.group, []).append(rule)
    return {f"{name}.yml": _HEAD + _yaml(name, of, runbooks) for name, of in groups.items()}


def _yaml(group: str, rules: list[Rule], runbooks: str) -> str:
    entries: list[Mapping[str, Any]] = []
    for rule in rules:
        entries.append({"record": rule.record, "expr": rule.value})
        entries += [alerting(rule, severity, level, runbooks) for severity, level in rule.levels.items()]
    content = {"groups": [{"name": f"cgscope-{group}", "interval": _INTERVAL, "rules": entries}]}
    written: str = yaml.safe_dump(content, sort_keys=False, width=120, allow_unicode=True)
    return written


def alerting(rule: Rule, severity: Severity, level: Level, runbooks: str = RUNBOOKS) -> dict[str, Any]:
    """Write one alerting rule."""
    found: dict[str, Any] = {"alert": rule.alert, "expr": condition(rule, severity, level)}
    if level.for_seconds:
        found["for"] = f"{level.for_seconds:g}s"
    found["labels"] = {"severity": severity}
    found["annotations"] = {
        "summary": to_go(rule.summary, rule),
        "description": to_go(rule.description, rule),
        "runbook_url": f"{runbooks}{rule.alert}.md",
    }
    return found


def condition(rule: Rule, severity: Severity, level: Level) -> str:
    """Write when a severity fires."""
    only = ",".join(f'{name}="{value}"' for name, value in level.only)
    value = rule.record + (f"{{{only}}}" if only else "")
    sign = ">" if rule.above else "<"
    begins = f"{value} {sign} {level.raise_at:.12g}"
    gate = rule.gate if level.gated else ""
    if gate:
        begins = f"({begins}) and ({gate})"
    if level.clear_at == level.raise_at and not gate:
        return begins
    firing = f'ALERTS{{alertname="{rule.alert}",alertstate="firing",severity="{severity}"}}'
    stays = f"{value} {sign} {level.clear_at:.12g} and ignoring (alertname, alertstate, severity) {firing}"
    return f"{begins} or ({stays})"


def main() -> int:
    """Write the files of the rules that come with the exporter, and their table in docs/alerts.md."""
    os.makedirs(FOLDER, exist_ok=True)
    for name, text in files(shipped_rules().values()).items():
        with open(os.path.join(FOLDER, name), "w", encoding="utf-8") as file:
            file.write(text)
    with open(document.PATH, encoding="utf-8") as file:
        text = document.rewritten(file.read(), shipped_rules().values())
    with open(document.PATH, "w", encoding="utf-8") as file:
        file.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
