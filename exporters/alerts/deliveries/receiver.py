"""A receiver over HTTP, and how long to wait for it and between attempts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from exporters.alerts.rule import SEVERITIES, Severity

Kind = Literal["webhook", "alertmanager"]


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where alerts are posted to. Durations in seconds.

    A firing alert is sent again every ``repeat_seconds``. After a failure the next attempt waits
    ``first_wait_seconds``, then twice as long each time, up to ``most_wait_seconds``. ``most_waiting`` bounds what
    waits to be delivered.
    """

    kind: Kind
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    least: Severity = "info"
    repeat_seconds: float = 300.0
    timeout_seconds: float = 10.0
    first_wait_seconds: float = 1.0
    most_wait_seconds: float = 60.0
    most_waiting: int = 10_000
    ca_file: str | None = None

    def __hash__(self) -> int:
        """Hash what is hashable: headers are a mapping."""
        return hash((self.kind, self.url))

    def wants(self, severity: str) -> bool:
        """Tell whether alerts of a severity are sent here."""
        return SEVERITIES.index(severity) >= SEVERITIES.index(self.least)
