"""Counting and logging what goes wrong without letting a hot reader fill the log."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

QUIET_SECONDS: Final = 60.0
"""A kind of problem is logged once, then at most this often; every one is counted."""


class Problems:
    """Counters by kind, with a log line for the first of each kind and then one a minute at most.

    A kind is a short fixed text (operation and exception type), never data, so that the number of kinds is bounded.
    """

    def __init__(
        self,
        logger: logging.Logger,
        quiet_seconds: float = QUIET_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._logger = logger
        self._quiet_seconds = quiet_seconds
        self._clock = clock
        self._logged: dict[str, float] = {}

    def report(self, kind: str, error: BaseException) -> None:
        """Count ``error`` under ``kind`` and log it, traceback included, if its turn has come."""
        self.counts[kind] += 1
        now = self._clock()
        last = self._logged.get(kind)
        if last is None or now - last >= self._quiet_seconds:
            self._logged[kind] = now
            self._logger.error("%s: %r (seen %d times)", kind, error, self.counts[kind], exc_info=error)
