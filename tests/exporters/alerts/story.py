"""Stories: series over time and what has to fire when. One source for promtool and for the built-in engine.

A story's series are written as in promtool's tests: ``1 2 3``, ``0+10x5`` (six values), ``7x3`` (four sevens), ``_``
(not there yet), ``stale`` (gone from here on). Samples are `STEP_SECONDS` apart, and so are evaluations.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from exporters.alerts.engine import Engine
from exporters.alerts.expression import Selector
from exporters.alerts.promql import parse
from exporters.alerts.rule import Rule
from exporters.alerts.series import Labels
from exporters.alerts.state import Alert

STEP_SECONDS: Final = 30
_RUN: Final = re.compile(r"(-?[\d.e]+|_|stale)(?:([+-][\d.e]+))?x(\d+)")


@dataclass(frozen=True, slots=True)
class Check:
    """What fires at a time: pairs of severity and labels that the firing alert has beside others."""

    seconds: int
    firing: tuple[tuple[str, Mapping[str, str]], ...]


@dataclass(frozen=True, slots=True)
class Story:
    """A test of one alert."""

    alert: str
    title: str
    series: Mapping[str, list[str]]
    checks: tuple[Check, ...]

    @property
    def steps(self) -> int:
        """Number of evaluations: until the last check."""
        return max(check.seconds for check in self.checks) // STEP_SECONDS + 1


def stories(path: Path) -> list[Story]:
    """Read a file of stories."""
    found = []
    document = yaml.load(path.read_text(), Loader=yaml.BaseLoader)  # noqa: S506 - texts only: 0x5 is no number here
    for alert, entries in document.items():
        found += [_story(alert, entry) for entry in entries]
    return found


def _story(alert: str, entry: Mapping[str, Any]) -> Story:
    series = {name: list(expanded(str(values))) for name, values in entry["series"].items()}
    return Story(alert, entry["story"], series, tuple(_check(at, firing) for at, firing in entry["firing"].items()))


def _check(at: str, firing: list[Any] | None) -> Check:
    minutes = float(str(at).removesuffix("m"))
    alerts = []
    for one in firing or []:
        severity, labels = (one, {}) if isinstance(one, str) else next(iter(one.items()))
        alerts.append((severity, labels))
    return Check(round(minutes * 60), tuple(alerts))


def expanded(text: str) -> Iterator[str]:
    """Write every value of a series out."""
    for word in text.split():
        run = _RUN.fullmatch(word)
        if run is None:
            yield word
        elif run[1] in ("_", "stale"):
            yield from [run[1]] * int(run[3])
        else:
            for step in range(int(run[3]) + 1):
                yield f"{float(run[1]) + step * float(run[2] or 0):.10g}"


def replay(rule: Rule, story: Story, others: tuple[Rule, ...] = ()) -> Iterator[tuple[int, tuple[Alert, ...]]]:
    """Evaluate a story with the built-in engine: yields seconds and what fires then."""
    engine = Engine([rule, *others], runbooks="docs/runbooks/")
    for step in range(story.steps):
        samples: dict[str, dict[Labels, float]] = {}
        for name, values in story.series.items():
            value = values[step] if step < len(values) else "stale"
            if value not in ("_", "stale"):
                selector = parse(name)
                assert isinstance(selector, Selector)
                labels = frozenset((one.label, one.pattern) for one in selector.matchers)
                samples.setdefault(selector.name, {})[labels] = float(value)
        yield step * STEP_SECONDS, engine.evaluate(float(step * STEP_SECONDS), samples).firing


def to_promtool(story: Story, verdicts: Mapping[int, tuple[Alert, ...]]) -> dict[str, Any]:
    """Write a story as a test of promtool; ``verdicts`` are those of the built-in engine, texts included."""
    checks = []
    for check in story.checks:
        alerts = [
            {
                "exp_labels": {name: value for name, value in alert.labels.items() if name != "alertname"},
                "exp_annotations": dict(alert.annotations),
            }
            for alert in verdicts[check.seconds]
            if alert.name == story.alert
        ]
        checks.append({"eval_time": f"{check.seconds}s", "alertname": story.alert, "exp_alerts": alerts})
    series = []
    for name, values in story.series.items():
        ended = [*values, "stale"] if len(values) < story.steps and values[-1] != "stale" else values
        series.append({"series": name, "values": " ".join(ended)})
    return {"name": story.title, "interval": f"{STEP_SECONDS}s", "input_series": series, "alert_rule_test": checks}
