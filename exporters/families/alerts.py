"""Alerts of this exporter: what is pending and firing, how evaluations went, who was told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from exporters.alerts.board import Board, Tallied
from exporters.metric import Family, Group, LabelValues, counter, gauge
from exporters.subject import Machine

_ALERT = ("alertname", "severity", "alertstate", "fingerprint", "id", "name", "pod", "namespace", "engine")
_RECEIVER = ("receiver",)
_ORIGIN = "rules, docs/alerts.md"


@dataclass(frozen=True, slots=True)
class _Count:
    """A number with labels."""

    value: float


def _board(machine: Machine) -> Board | None:
    return machine.world.alerts


def _active(machine: Machine) -> Iterator[tuple[LabelValues, _Count]]:
    for alert in machine.world.alerts.outcome.active if machine.world.alerts is not None else ():
        known = {**alert.labels, "alertstate": alert.state, "fingerprint": alert.fingerprint}
        yield tuple(known.get(name, "") for name in _ALERT), _Count(1)


def _evaluated(machine: Machine) -> _Count | None:
    board = machine.world.alerts
    return _Count(board.outcome.time) if board is not None and board.outcome.time else None


def _receivers(machine: Machine) -> Iterator[tuple[LabelValues, Tallied]]:
    for name, counts in (machine.world.alerts.receivers if machine.world.alerts is not None else {}).items():
        yield (name,), counts


FAMILIES = (
    Family(
        "alerts",
        "Alerts of this exporter",
        (
            Group(
                _Count,
                _active,
                (gauge("cgroup_exporter_alert", "1 while an alert is pending or firing.", "value", labels=_ALERT),),
                labels=_ALERT,
                origin=_ORIGIN,
            ),
            Group(
                Board,
                _board,
                (
                    gauge("cgroup_exporter_alert_rules", "Rules that are evaluated.", "rules"),
                    counter("cgroup_exporter_alert_evaluations_total", "Evaluations of all rules.", "evaluations"),
                    counter(
                        "cgroup_exporter_alert_evaluation_failures_total",
                        "Rules that could not be evaluated, each time.",
                        "failures",
                    ),
                    gauge(
                        "cgroup_exporter_alert_evaluation_duration_seconds",
                        "Time that the last evaluation took, reading included.",
                        "duration_seconds",
                    ),
                ),
                origin=_ORIGIN,
            ),
            Group(
                _Count,
                _evaluated,
                (
                    gauge(
                        "cgroup_exporter_alert_last_evaluation_time_seconds",
                        "When rules were evaluated last, seconds of the epoch.",
                        "value",
                    ),
                ),
                origin=_ORIGIN,
            ),
            Group(
                Board,
                _receivers,
                (
                    counter(
                        "cgroup_exporter_alert_deliveries_total",
                        "Alerts that a receiver took, repeats included.",
                        "sent",
                        labels=_RECEIVER,
                    ),
                    counter(
                        "cgroup_exporter_alert_delivery_failures_total",
                        "Requests that a receiver did not answer, or refused.",
                        "failures",
                        labels=_RECEIVER,
                    ),
                    counter(
                        "cgroup_exporter_alert_deliveries_dropped_total",
                        "Alerts that did not fit into a receiver's queue.",
                        "dropped",
                        labels=_RECEIVER,
                    ),
                    gauge(
                        "cgroup_exporter_alert_deliveries_waiting",
                        "Alerts that a receiver has to be told of until they are resolved.",
                        "waiting",
                        labels=_RECEIVER,
                    ),
                ),
                labels=_RECEIVER,
                origin=_ORIGIN,
            ),
        ),
        of="machine",
    ),
)
