"""Alerts as lines of the exporter's log: when they begin and when they end."""

from __future__ import annotations

import logging
from typing import Final

from cgscope.errors import printable
from exporters.alerts.state import Alert, Outcome

_LEVELS: Final = {"info": logging.INFO, "warning": logging.WARNING, "critical": logging.ERROR}
_MOST: Final = 100  # lines of one evaluation

log = logging.getLogger(__name__)


class Journal:
    """Remembers what has been said."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def tell(self, outcome: Outcome) -> None:
        """Say what is new."""
        new = [alert for alert in outcome.firing if alert.fingerprint not in self._said]
        ended = [alert for alert in outcome.resolved if alert.fingerprint in self._said]
        for alert in (*new, *ended)[:_MOST]:
            level = _LEVELS[alert.severity] if alert.state == "firing" else logging.INFO
            log.log(level, "alert %s", _line(alert))
        if len(new) + len(ended) > _MOST:
            log.warning("%d more alerts began or ended", len(new) + len(ended) - _MOST)
        self._said = {alert.fingerprint for alert in outcome.firing}


def _line(alert: Alert) -> str:
    container = alert.labels.get("id")
    where = f" [{container}]" if container else ""
    return printable(f"{alert.state}: {alert.name} ({alert.severity}){where}: {alert.annotations['summary']}")
