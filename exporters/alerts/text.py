"""Texts of alerts: one template, filled in here and translated for Prometheus, with the same result.

``{value}`` is the value in the rule's unit, ``{who}`` the container's name (else its pod, else its cgroup), ``{worst}``
the three containers with most of what the rule names, ``{detail_label}`` a label of the rule's ``detail``, ``{label}``
any label of the alert.

Source: template/template.go of Prometheus 2.42 (humanize1024, humanizePercentage).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from exporters.alerts.evaluate import Vector
from exporters.alerts.rule import Rule, Unit

_FIELD: Final = re.compile(r"\{([a-z_]+)\}")
SAME: Final = ("id", "pattern", "instance")
"""Labels by which a series of ``detail`` belongs to an alert; ``instance`` is Prometheus' own."""

_DETAIL: Final = "detail_"
_WORST: Final = 3  # containers that are named

_TO_GO: Final[Mapping[Unit, str]] = {
    "ratio": "{{ $value | humanizePercentage }}",
    "count": '{{ printf "%.0f" $value }}',
    "bytes": "{{ $value | humanize1024 }}B",
    "seconds": '{{ printf "%.0f" $value }} s',
}
_GO_WHO: Final = "{{ or $labels.name $labels.pod $labels.id }}"


def humanize1024(value: float) -> str:
    """Write a number with binary prefixes, four digits."""
    if abs(value) <= 1:
        return f"{value:.4g}"
    prefix = ""
    for one in ("ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"):
        if abs(value) < 1024:
            break
        prefix = one
        value /= 1024
    return f"{value:.4g}{prefix}"


_HERE: Final[Mapping[Unit, Callable[[float], str]]] = {
    "ratio": lambda value: f"{value * 100:.4g}%",
    "count": lambda value: f"{value:.0f}",
    "bytes": lambda value: f"{humanize1024(value)}B",
    "seconds": lambda value: f"{value:.0f} s",
}


def who(labels: Mapping[str, str]) -> str:
    """Name the container that labels are about; "" for the machine."""
    return labels.get("name") or labels.get("pod") or labels.get("id") or ""


def filled(template: str, rule: Rule, labels: Mapping[str, str], value: float, more: Mapping[str, str]) -> str:
    """Fill a template in; ``more`` is what has to be looked up: ``worst``, ``detail_label``."""
    known = {"value": _HERE[rule.unit](value), "who": who(labels), **more}
    return _FIELD.sub(lambda found: known.get(found[1], labels.get(found[1], "")), template)


def worst_of(found: Vector) -> str:
    """Name those with the greatest values: ``web (812) db (33) ``."""
    first = sorted(found.items(), key=lambda item: -item[1])[:_WORST]
    return "".join(f"{who(dict(labels))} ({value:.0f}) " for labels, value in first)


def detail_of(found: Vector, labels: Mapping[str, str]) -> dict[str, str]:
    """Find the series of ``detail`` that is about the same container: its labels, as fields of templates."""
    for one in found:
        own = dict(one)
        if all(own.get(label) == labels.get(label) for label in SAME[:-1]):
            return {f"{_DETAIL}{name}": text for name, text in own.items()}
    return {}


def to_go(template: str, rule: Rule) -> str:
    """Translate a template into Prometheus' language."""
    return _FIELD.sub(lambda found: _go_field(found[1], rule), template)


def _go_field(name: str, rule: Rule) -> str:
    if name == "value":
        return _TO_GO[rule.unit]
    if name == "who":
        return _GO_WHO
    if name == "worst":
        # Only those of the same machine, where one server knows many.
        same = f"{rule.record}{{instance='%s'}}"
        query = f"topk({_WORST}, ({rule.worst}) and on (job, instance) {same})".replace('"', "'")
        asked = f'query (printf "{query}" $labels.instance)'
        return f'{{{{ range {asked} }}}}{_GO_OTHER} ({{{{ printf "%.0f" .Value }}}}) {{{{ end }}}}'
    if name.startswith(_DETAIL):
        matchers = ",".join(f"{label}='%s'" for label in SAME)
        values = " ".join(f"$labels.{label}" for label in SAME)
        asked = f'query (printf "{rule.detail}{{{matchers}}}" {values})'
        return f"{{{{ range {asked} }}}}{{{{ .Labels.{name.removeprefix(_DETAIL)} }}}}{{{{ end }}}}"
    return f"{{{{ $labels.{name} }}}}"


_GO_OTHER: Final = "{{ or .Labels.name .Labels.pod .Labels.id }}"
