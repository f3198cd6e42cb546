"""Noticing that a worker hangs: by what it leaves undone, not by a clock of its own that could go on ticking."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

SAMPLES: Final = 4
"""So many looks in a row must find the same. Looks are counted and not seconds: when the whole machine stands still, so
do we."""


class Watchdog:
    """Is told at regular intervals what a worker has done last, and whether it has something to do."""

    def __init__(self) -> None:
        self._last: Hashable = None
        self._idle_samples = 0

    def look(self, last: Hashable, *, has_work: bool) -> bool:
        """Tell whether it hangs: it has had work and done nothing for `SAMPLES` looks."""
        if last != self._last or not has_work:
            self._idle_samples = 0
        else:
            self._idle_samples += 1
        self._last = last
        return self._idle_samples >= SAMPLES
