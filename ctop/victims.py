"""Who died for lack of memory, from the kernel's log; as far back as the log reaches."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from cgroup_model.kmsg import DEVICE, KernelLog
from cgroup_model.oom import Victim
from cgroup_model.oom.victims import VictimParser

_MOST: Final = 1000


class Victims:
    """Reads them again and again."""

    def __init__(self, device: str = DEVICE) -> None:
        self._parser = VictimParser()
        self._found: deque[Victim] = deque(maxlen=_MOST)
        try:
            self._log: KernelLog | None = KernelLog(device, whole=True)
        except OSError:  # not ours to read
            self._log = None

    def read(self) -> Sequence[Victim] | None:
        """Everybody so far, the newest last; None where the log cannot be read."""
        if self._log is None:
            return None
        try:
            for record in self._log.read():
                if (victim := self._parser.feed(record)) is not None:
                    self._found.append(victim)
        except OSError:
            self.close()
        return tuple(self._found)

    def close(self) -> None:
        """Close the log."""
        if self._log is not None:
            self._log.close()
            self._log = None
