"""What the alert side shows on the page: what it watches, how evaluations went, who was told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from exporters.alerts.state import NOTHING, Outcome
from exporters.readers.container_logs import ContainerLogReader
from exporters.readers.kernel_log import KernelLogReader
from exporters.readers.key_processes import KeyProcess


class Tallied(Protocol):
    """What became of one receiver's deliveries."""

    sent: int
    failures: int
    dropped: int
    waiting: int


@dataclass(slots=True)
class Board:
    """Shared between the thread that reads and the event loop: each field is written by one of them only."""

    processes: Sequence[KeyProcess] = ()
    kernel_log: KernelLogReader | None = None
    container_logs: ContainerLogReader | None = None
    outcome: Outcome = NOTHING
    rules: int = 0
    evaluations: int = 0
    failures: int = 0  # rules that could not be evaluated, added up
    duration_seconds: float = 0.0
    receivers: Mapping[str, Tallied] = field(default_factory=dict)
