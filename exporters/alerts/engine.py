"""Rules + samples -> alerts: the evaluation that Prometheus would make of the same rules.

A severity is pending from the moment its value passes ``raise`` with the gate open, and fires after ``for``. Once it
fires it does so while the value is beyond ``clear``. A series that is gone resolves its alerts.

Source: rules/alerting.go of Prometheus 2.42; the two levels are those of `exporters.alerts.prometheus.condition`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Final

from exporters.alerts.evaluate import EvaluationError, Moment, Vector, evaluate
from exporters.alerts.overrides import Overrides
from exporters.alerts.owners import METRIC, Owners, label_name
from exporters.alerts.promql import parse
from exporters.alerts.rule import Level, Rule, Severity, reach
from exporters.alerts.series import Labels, Store
from exporters.alerts.state import Alert, Key, Outcome, Track
from exporters.alerts.text import detail_of, filled, worst_of

Samples = Mapping[str, Mapping[Labels, float]]
"""One moment: name of a metric -> labels -> value."""

_LookedUp = tuple[str, Vector]
"""Of one rule at one moment: the containers with most, and the series that have details."""

_LEAST_STEP_SECONDS: Final = 1.0
_NO_OVERRIDES: Final = Overrides(())
_NONE: Final[Mapping[str, str]] = {}

log = logging.getLogger(__name__)


class Engine:
    """Evaluates rules again and again. Not safe for several threads."""

    def __init__(
        self,
        rules: Iterable[Rule],
        overrides: Overrides = _NO_OVERRIDES,
        *,
        engine_labels: Iterable[str] = (),
        labels: Mapping[str, str] = _NONE,
        runbooks: str = "",
    ) -> None:
        """Evaluate nothing yet.

        ``engine_labels`` are copied onto alerts, ``labels`` are put on all of them, ``runbooks`` is what a runbook's
        file name is put behind.
        """
        self.rules = tuple(rule for rule in rules if not rule.prometheus_only)
        self.engine_labels = tuple(engine_labels)
        needed = dict.fromkeys([METRIC], 0.0) if self.engine_labels or overrides.engine_labels else {}
        self.store = Store(reach(iter(self.rules)) | needed)
        self._overrides = overrides
        self._labels = labels
        self._runbooks = runbooks
        self._owners = Owners()
        self._tracks: dict[Key, Track] = {}
        self._restored: set[Key] = set()
        self._began: float | None = None
        self._last: float | None = None

    @property
    def tracks(self) -> Mapping[Key, Track]:
        """What is pending and firing."""
        return self._tracks

    def restore(self, tracks: Mapping[Key, Track]) -> None:
        """Go on with what fired in another process, before the first evaluation.

        Rules that look back see little at first. Until they have seen as much as they look at, what fired goes on.
        """
        known = {rule.alert for rule in self.rules}
        self._tracks = {key: track for key, track in tracks.items() if key[0] in known}
        self._restored = set(self._tracks)

    @property
    def metrics(self) -> frozenset[str]:
        """Names of the metrics that have to be among the samples."""
        return frozenset(self.store.reach)

    def take_over(self, other: Engine) -> None:
        """Go on where another engine stopped: samples, and what was pending and firing."""
        self.store.keep_from(other.store)
        self._tracks = other._tracks
        self._owners = other._owners
        self._restored, self._began, self._last = other._restored, other._began, other._last

    def evaluate(self, now: float, samples: Samples) -> Outcome:
        """Take over the samples of a moment, seconds of the epoch, and evaluate all rules."""
        if self._began is None:
            self._began = now
        if self._last is not None and now < self._last:
            self._set_back(now - self._last - _LEAST_STEP_SECONDS)
        self._last = now
        self.store.add(now, samples)
        self._owners.learn(samples.get(METRIC, {}))
        before, self._tracks = self._tracks, {}
        failures: dict[str, str] = {}
        for rule in self.rules:
            try:
                self._evaluate_rule(rule, Moment(self.store, now), before)
            except EvaluationError as error:
                failures[rule.alert] = str(error)
                self._keep(rule, before)
        resolved = tuple(
            _resolved(track.alert, now)
            for key, track in before.items()
            if track.firing and track.alert is not None and key not in self._tracks
        )
        active = tuple(track.alert for track in self._tracks.values() if track.alert is not None)
        return Outcome(now, active, resolved, failures)

    def _set_back(self, seconds: float) -> None:
        """The machine's clock was set back: what was seen moves along, or it would lie in the future for so long."""
        log.warning("the clock was set back by %.0f seconds", -seconds)
        self.store.shift(seconds)
        self._began = None if self._began is None else self._began + seconds
        for track in self._tracks.values():
            track.began += seconds

    def _evaluate_rule(self, rule: Rule, moment: Moment, before: Mapping[Key, Track]) -> None:
        values = evaluate(parse(rule.value), moment)
        if self._restored:
            self._hold(rule, moment.now, before)
        gate = evaluate(parse(rule.gate), moment) if rule.gate else None
        looked_up: _LookedUp | None = None
        for labels, value in values.items():
            for severity, level in self._overrides.levels(rule, labels, self._owners.of).items():
                key = (rule.alert, severity, labels)
                known = before.get(key)
                if not _holds(rule, level, labels, value, gate, firing=known is not None and known.firing):
                    continue
                track = self._tracks[key] = known or Track(moment.now, self._all_labels(rule, severity, labels))
                track.firing = track.firing or moment.now - track.began >= level.for_seconds
                if looked_up is None:
                    looked_up = _look_up(rule, moment)
                track.alert = self._alert(rule, track, value, looked_up)

    def _all_labels(self, rule: Rule, severity: Severity, labels: Labels) -> Mapping[str, str]:
        """Put together what identifies an alert; decided when it begins, so that it stays the same alert."""
        own = dict(labels)
        theirs = self._owners.of(own)
        copied = {label_name(name): theirs[name] for name in self.engine_labels if theirs.get(name)}
        return dict(self._labels) | copied | own | {"alertname": rule.alert, "severity": severity}

    def _alert(self, rule: Rule, track: Track, value: float, looked_up: _LookedUp) -> Alert:
        own = track.labels
        worst, details = looked_up
        more = {"worst": worst, **detail_of(details, own)}
        annotations = {
            "summary": filled(rule.summary, rule, own, value, more),
            "description": filled(rule.description, rule, own, value, more),
            "runbook_url": f"{self._runbooks}{rule.alert}.md",
        }
        return Alert("firing" if track.firing else "pending", own, annotations, value, track.began)

    def _hold(self, rule: Rule, now: float, before: Mapping[Key, Track]) -> None:
        """Keep what fired in another process while its rule has not seen enough to judge."""
        patience = max(reach(iter([rule])).values(), default=0.0)
        for key in [one for one in self._restored if one[0] == rule.alert]:
            if now - (self._began or now) >= patience:
                self._restored.discard(key)
            elif key in before:
                self._tracks[key] = before[key]

    def _keep(self, rule: Rule, before: Mapping[Key, Track]) -> None:
        """Leave a rule's alerts as they are: that it cannot be evaluated does not mean that all is well."""
        self._tracks |= {key: track for key, track in before.items() if key[0] == rule.alert}


def _look_up(rule: Rule, moment: Moment) -> _LookedUp:
    """Find what texts name beside the alert's own labels."""
    worst = worst_of(evaluate(parse(rule.worst), moment)) if rule.worst else ""
    return worst, evaluate(parse(rule.detail), moment) if rule.detail else {}


def _holds(rule: Rule, level: Level, labels: Labels, value: float, gate: Vector | None, *, firing: bool) -> bool:
    if not all(pair in labels for pair in level.only):
        return False
    if firing and _beyond(rule, value, level.clear_at):
        return True
    return _beyond(rule, value, level.raise_at) and (gate is None or not level.gated or labels in gate)


def _beyond(rule: Rule, value: float, level: float) -> bool:
    return value > level if rule.above else value < level


def _resolved(alert: Alert, now: float) -> Alert:
    return Alert("resolved", alert.labels, alert.annotations, alert.value, alert.since, now)
