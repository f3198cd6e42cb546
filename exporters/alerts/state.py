"""What becomes of an alert: pending, firing, resolved. One state per rule, severity and series."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from exporters.alerts.rule import Severity
from exporters.alerts.series import Labels

State = Literal["pending", "firing", "resolved"]

Key = tuple[str, Severity, Labels]
"""Alert, severity, labels of the series: what makes two alerts one."""


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert at one moment. Times are seconds of the epoch; ``ended`` is when it was resolved.

    ``labels`` are its identity, as Alertmanager has it: alertname and severity are among them.
    """

    state: State
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    value: float
    since: float
    ended: float | None = None

    @property
    def name(self) -> str:
        """The rule's name."""
        return self.labels["alertname"]

    @property
    def severity(self) -> str:
        """``info``, ``warning`` or ``critical``."""
        return self.labels["severity"]

    @property
    def fingerprint(self) -> str:
        """The same for the same labels: 16 hexadecimal digits."""
        text = "\0".join(f"{name}\1{value}" for name, value in sorted(self.labels.items()))
        return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).hexdigest()


@dataclass(slots=True)
class Track:
    """The state of one series at one severity. ``began`` is when its value passed the level."""

    began: float
    labels: Mapping[str, str]
    firing: bool = False
    alert: Alert | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """One evaluation: all that is pending or firing, and what has just been resolved."""

    time: float = 0.0
    active: tuple[Alert, ...] = ()
    resolved: tuple[Alert, ...] = ()
    failures: Mapping[str, str] = field(default_factory=dict)  # alert -> why it could not be evaluated

    @property
    def firing(self) -> tuple[Alert, ...]:
        """Those that fire."""
        return tuple(alert for alert in self.active if alert.state == "firing")


NOTHING: Final = Outcome()
"""Before the first evaluation."""
