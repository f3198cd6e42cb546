"""The smaller answers of the API, as what JSON has: one container, alerts, OOM kills, the exporter's own health."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cgroup_model import codec
from cgroup_model.oom import Account, Report, Victim
from exporters.alerts.state import Alert, Outcome
from exporters.families import FAMILIES
from exporters.labels import clean
from exporters.sheet import Sheet
from exporters.status import Status


def metadata() -> dict[str, Any]:
    """Describe every metric that there can be: name -> type, text, family."""
    return {
        metric.name: {"type": metric.type, "help": metric.help, "family": family.name}
        for family in FAMILIES.values()
        for metric in family.metrics
    }


def container(sheet: Sheet, path: str) -> dict[str, Any]:
    """List all values of one container; ``sheet`` may have others, too."""
    values = [
        {
            "metric": metric.name,
            "labels": dict(part.group.columns[index].constant) | dict(zip(part.group.labels, labels, strict=True)),
            "value": value,
        }
        for metric, places in sheet.metrics()
        for part, index in places
        for names, labels, row in part.rows
        if names.labels.get("id") == path and (value := row[index]) is not None
    ]
    return {"id": path, "values": values}


def alerts(outcome: Outcome | None, state: str = "") -> dict[str, Any]:
    """List what is pending, firing or has just been resolved, or what is in one ``state``.

    ``enabled`` is false when nobody evaluates rules.
    """
    if outcome is None:
        return {"enabled": False, "time": None, "alerts": [], "failures": {}}
    return {
        "enabled": True,
        "time": outcome.time or None,
        "alerts": [_alert(one) for one in (*outcome.active, *outcome.resolved) if state in ("", one.state)],
        "failures": dict(outcome.failures),
    }


def _alert(alert: Alert) -> dict[str, Any]:
    return {
        "state": alert.state,
        "name": alert.name,
        "severity": alert.severity,
        "labels": _cleaned(alert.labels),
        "annotations": _cleaned(alert.annotations),
        "value": alert.value,
        "since": alert.since,
        "ended": alert.ended,
    }


def _cleaned(texts: Mapping[str, str]) -> dict[str, str]:
    return {name: clean(text) for name, text in texts.items()}


def oom(report: Report | None) -> dict[str, Any]:
    """Write the ledger; the accounts with the newest kill come first."""
    if report is None:
        return {"enabled": False, "accounts": []}
    accounts = sorted(report.accounts, key=lambda account: -(account.last_epoch or 0.0))
    return {
        "enabled": True,
        "machine_kills": report.machine_kills,
        "attributed": report.attributed,
        "unattributed": report.unattributed,
        "log_readable": report.log_readable,
        "log_lost": report.log_lost,
        "watched": report.watched,
        "unwatched": report.unwatched,
        "accounts": [_account(account) for account in accounts],
    }


def _account(account: Account) -> dict[str, Any]:
    identity = account.identity
    return {
        "id": clean(account.path),
        "name": clean(identity.title) if identity is not None and identity.title else None,
        "engine": identity.engine if identity is not None else None,
        "kills": account.kills,
        "own_kills": account.own_kills,
        "first": account.first_epoch,
        "last": account.last_epoch,
        "gone": account.gone_epoch if account.departed else None,
        "victims": _victims(account.victims),
    }


def _victims(victims: Iterable[Victim]) -> list[dict[str, Any]]:
    return [{**codec.encode(victim), "comm": clean(victim.comm)} for victim in reversed(tuple(victims))]


def health(status: Status, telemetry_path: str) -> dict[str, Any]:
    """Tell how the exporter itself does, as of its last scrape."""
    return {
        "version": status.version,
        "python": status.python,
        "cgroups": status.world,
        "telemetry_path": telemetry_path,
        "started": status.started_epoch,
        "scrapes": status.scrapes,
        "containers": status.containers,
        "series": status.series,
        "series_dropped": status.series_dropped,
        "read_seconds": status.read_seconds,
        "scrape_seconds": status.scrape_seconds,
        "cpu_seconds": status.cpu_seconds,
        "resident_bytes": status.resident_bytes,
        "control_files": {"open": status.open_descriptors, "max": status.descriptor_budget},
        "descriptors": {"open": status.process_descriptors, "max": status.most_descriptors},
        "collectors": [
            {"name": name, "seconds": outcome.duration_seconds, "success": outcome.success}
            for name, outcome in status.outcomes.items()
        ],
        "problems": [
            {"part": part, "reason": reason, "count": count} for (part, reason), count in status.problems.items()
        ],
        "requests": [{"path": path, "code": code, "count": count} for (path, code), count in status.http.items()],
    }
