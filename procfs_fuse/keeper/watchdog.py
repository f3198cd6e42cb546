"""Noticing that a worker hangs: by what it leaves undone, not by a clock of its own that could go on ticking."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Hashable
from typing import Final

SAMPLES: Final = 4
"""So many looks in a row must find the same. Looks are counted and not seconds: when the whole machine stands still, so
do we."""

_STARVED_SAMPLES: Final = 8
"""So many looks at one that is short of a CPU are worth one: it may be in an endless loop all the same."""

_LEAST_SHARE: Final = 0.5  # of a CPU: who wants one and gets less is short of it


class Watchdog:
    """Is told at regular intervals what a worker has done last, and whether it has something to do."""

    def __init__(self) -> None:
        self._last: Hashable = None
        self._patience = SAMPLES * _STARVED_SAMPLES

    def look(self, last: Hashable, *, has_work: bool, is_starved: bool = False) -> bool:
        """Tell whether it hangs: it has had work and done nothing for `SAMPLES` looks, or many more while starved."""
        if last != self._last or not has_work:
            self._patience = SAMPLES * _STARVED_SAMPLES
        else:
            self._patience -= 1 if is_starved else _STARVED_SAMPLES
        self._last = last
        return self._patience <= 0


class CpuShare:
    """Looks at what a process gets when it wants a CPU: on a busy machine that may be little, and no fault of its."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, proc_root: str = "/proc") -> None:
        self._clock = clock
        self._proc_root = proc_root
        self._ticks_per_second = os.sysconf("SC_CLK_TCK")
        self._last: tuple[int, float, float] = (0, 0.0, 0.0)

    def is_starved(self, pid: int) -> bool:
        """Whether its first thread waits for a CPU, and has got less than half a one since the last look."""
        try:
            with open(f"{self._proc_root}/{pid}/task/{pid}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            return False  # it has ended
        spent, now = (int(fields[11]) + int(fields[12])) / self._ticks_per_second, self._clock()
        last_pid, last_spent, last_look = self._last
        self._last = (pid, spent, now)
        return fields[0] == b"R" and pid == last_pid and spent - last_spent < _LEAST_SHARE * (now - last_look)
