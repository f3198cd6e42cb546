"""Alerts as JSON: the body of a webhook and of Alertmanager's API.

Sources: Alertmanager's webhook format, version 4, so that receivers made for it understand ours; its OpenAPI
specification of ``POST /api/v2/alerts``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

from exporters.alerts.state import Alert

_NEVER: Final = "0001-01-01T00:00:00Z"  # Go's zero time: not ended
_LEAST_VALIDITY_SECONDS: Final = 60.0


def to_webhook(alerts: Iterable[Alert], receiver: str) -> bytes:
    """Write the body of a webhook."""
    every = [_whole(alert) for alert in alerts]
    status = "firing" if any(one["status"] == "firing" for one in every) else "resolved"
    body = {
        "version": "4",
        "receiver": receiver,
        "status": status,
        "truncatedAlerts": 0,
        "groupKey": "cgroup-exporter",
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "",
        "alerts": every,
    }
    return json.dumps(body).encode()


def to_alertmanager(alerts: Iterable[Alert], now: float, repeat_seconds: float) -> bytes:
    """Write the body for Alertmanager.

    A firing alert is valid for four repeats, so that one that is late or lost does not resolve it; when this exporter
    dies, Alertmanager resolves it by itself. A resolved one ends when it did.
    """
    validity = max(4 * repeat_seconds, _LEAST_VALIDITY_SECONDS)
    return json.dumps(
        [
            {
                "labels": dict(alert.labels),
                "annotations": dict(alert.annotations),
                "startsAt": timestamp(alert.since),
                "endsAt": timestamp(now + validity if alert.ended is None else alert.ended),
            }
            for alert in alerts
        ]
    ).encode()


def timestamp(epoch: float) -> str:
    """Write seconds of the epoch as RFC 3339 has it."""
    return datetime.fromtimestamp(epoch, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _whole(alert: Alert) -> dict[str, Any]:
    return {
        "status": alert.state,
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "startsAt": timestamp(alert.since),
        "endsAt": _NEVER if alert.ended is None else timestamp(alert.ended),
        "generatorURL": "",
        "fingerprint": alert.fingerprint,
        "value": alert.value,
    }
