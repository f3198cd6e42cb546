"""What fired when the exporter ended: so that the next one goes on, and tells that it is resolved if it is.

A small JSON file, written whenever the set of firing alerts changes. What cannot be read is worth nothing and is left.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

from exporters.alerts.rule import SEVERITIES, Severity
from exporters.alerts.state import Alert, Key, Track

_MOST_BYTES: Final = 32 << 20

log = logging.getLogger(__name__)


def save(path: str, tracks: Mapping[Key, Track]) -> None:
    """Write what fires; a failure is logged, alerts go on."""
    entries = [
        {
            "alert": alert,
            "severity": severity,
            "series": sorted(labels),
            "began": track.began,
            "labels": dict(track.labels),
            "annotations": dict(track.alert.annotations),
            "value": track.alert.value,
        }
        for (alert, severity, labels), track in tracks.items()
        if track.firing and track.alert is not None
    ]
    partial = f"{path}.new"
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with open(partial, "w", encoding="utf-8", errors="surrogateescape") as file:
            json.dump(entries, file)
        os.replace(partial, path)
    except OSError as error:
        log.warning("what fires is not remembered: %s: %s", path, error.strerror)


def load(path: str) -> dict[Key, Track]:
    """Read what fired; nothing when there is no file, or none that can be understood."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return dict(_entries(json.loads(file.read(_MOST_BYTES))))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        reason = error
    except (KeyError, TypeError, AttributeError):
        reason = ValueError("not a list of alerts as exporters write it")
    log.warning("what fired before is not known: %s: %s", path, reason)
    return {}


def forget(path: str) -> None:
    """Remove the file: nothing is evaluated any more."""
    with contextlib.suppress(OSError):
        os.unlink(path)


def _entries(found: Iterable[Mapping[str, Any]]) -> Iterable[tuple[Key, Track]]:
    for one in found:
        if one["severity"] not in SEVERITIES:
            raise ValueError(f"no severity {one['severity']!r}")
        labels = {str(name): str(value) for name, value in one["labels"].items()}
        annotations = {str(name): str(value) for name, value in one["annotations"].items()}
        began, value = float(one["began"]), float(one["value"])
        series = frozenset((str(name), str(text)) for name, text in one["series"])
        key = (str(one["alert"]), cast("Severity", one["severity"]), series)
        alert = Alert("firing", {**labels, "alertname": key[0], "severity": key[1]}, annotations, value, began)
        yield key, Track(began, alert.labels, firing=True, alert=alert)
