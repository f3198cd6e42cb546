"""What one receiver has to be told. It is told states, not events: after an outage it gets what is true then.

An alert waits here from the moment it begins to fire until the receiver has heard that it is resolved. While it fires
it falls due again and again, so that a receiver that lost its memory learns of it. An alert that began and ended while
the receiver was away is delivered as resolved, once. The box is bounded: what does not fit is dropped, resolved ones
first, and counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from exporters.alerts.state import Alert


@dataclass(slots=True)
class _Slot:
    alert: Alert
    due_at: float  # when it is to be sent (again); seconds of a monotonic clock


class Outbox:
    """The alerts of one receiver. Times are those of one monotonic clock."""

    def __init__(self, repeat_seconds: float, most: int) -> None:
        self._repeat_seconds = repeat_seconds
        self._most = most
        self._slots: dict[str, _Slot] = {}
        self.dropped = 0
        """Alerts that did not fit."""

    def __len__(self) -> int:
        return len(self._slots)

    def update(self, firing: Iterable[Alert], resolved: Iterable[Alert], now: float) -> None:
        """Take over an evaluation."""
        for alert in firing:
            slot = self._slots.get(alert.fingerprint)
            if slot is None or slot.alert.state == "resolved":
                self._put(alert, now)
            else:
                slot.alert = alert  # value and text as of now; when it is due stays
        for alert in resolved:
            self._put(alert, now)

    def due(self, now: float) -> list[Alert]:
        """List what is to be sent now."""
        return [slot.alert for slot in self._slots.values() if slot.due_at <= now]

    def next_due(self) -> float | None:
        """Tell when something falls due; None: nothing is waiting."""
        return min((slot.due_at for slot in self._slots.values()), default=None)

    def delivered(self, sent: Iterable[Alert], now: float) -> None:
        """Take note that these arrived. What has changed meanwhile stays due."""
        for alert in sent:
            slot = self._slots.get(alert.fingerprint)
            if slot is None or slot.alert.state != alert.state:
                continue
            if alert.state == "resolved":
                if slot.alert is alert:
                    del self._slots[alert.fingerprint]
            else:
                slot.due_at = now + self._repeat_seconds

    def _put(self, alert: Alert, now: float) -> None:
        known = alert.fingerprint in self._slots
        if not known and len(self._slots) >= self._most and not self._made_room(alert):
            self.dropped += 1
            return
        self._slots[alert.fingerprint] = _Slot(alert, now)

    def _made_room(self, alert: Alert) -> bool:
        """Drop the oldest resolved alert for one that fires."""
        if alert.state == "resolved":
            return False
        for fingerprint, slot in self._slots.items():
            if slot.alert.state == "resolved":
                del self._slots[fingerprint]
                self.dropped += 1
                return True
        return False
