"""What the exporter knows of itself: how the scrape went, what it could not read, what it costs."""

from __future__ import annotations

import os
import platform
import resource
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata


def _version() -> str:
    try:
        return metadata.version("cgscope")
    except (metadata.PackageNotFoundError, OSError):  # OSError: not for us to read
        return "unknown"


@dataclass(slots=True)
class Outcome:
    """How one family's collector did in one scrape."""

    duration_seconds: float = 0.0
    failures: int = 0

    @property
    def success(self) -> bool:
        """True when it said all it had to say."""
        return not self.failures


@dataclass(slots=True)
class Status:
    """Counters since the exporter started, and the state of the scrape in progress."""

    version: str = field(default_factory=_version)
    python: str = field(default_factory=platform.python_version)
    world: str = ""
    started_epoch: float = field(default_factory=lambda: round(time.time(), 2))
    scrapes: int = 0
    containers: int = 0
    vanished: int = 0
    series: int = 0
    series_dropped: int = 0
    read_seconds: float = 0.0
    scrape_seconds: float = 0.0
    open_descriptors: int = 0
    descriptor_budget: int = 0
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    problems: Mapping[tuple[str, str], int] = field(default_factory=Counter)
    http: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def cpu_seconds(self) -> float:
        """CPU time of this process."""
        return time.process_time()

    @property
    def resident_bytes(self) -> int | None:
        """Memory of this process that is in RAM."""
        try:
            with open("/proc/self/statm", "rb", buffering=0) as file:
                return int(file.readall().split()[1]) * resource.getpagesize()
        except (OSError, ValueError, IndexError):
            return None

    @property
    def process_descriptors(self) -> int | None:
        """Open descriptors of this process."""
        try:
            # Since Linux 6.2 the size tells; before, it is 0, and thousands of names have to be listed.
            return os.stat("/proc/self/fd").st_size or len(os.listdir("/proc/self/fd"))
        except OSError:
            return None

    @property
    def most_descriptors(self) -> int | None:
        """Descriptors that this process may have."""
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return None if soft == resource.RLIM_INFINITY else soft
