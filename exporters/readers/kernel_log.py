"""The kernel's log compared with patterns. Records wait in the kernel's ring until somebody asks: nothing runs here."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence

from cgroup_model.kmsg import DEVICE, KernelLog
from exporters.alerts.patterns import Matches, Pattern

_KERNEL = 0  # syslog's facility; others write into the log from user space

log = logging.getLogger(__name__)


class KernelLogReader:
    """Reads what has been written since the last time."""

    def __init__(self, patterns: Sequence[Pattern], device: str = DEVICE) -> None:
        """Open the log; where that is not allowed it says so once, and finds nothing."""
        self.matches = [Matches(pattern) for pattern in patterns]
        self._log: KernelLog | None = None
        if patterns:
            try:
                self._log = KernelLog(device)
            except OSError as error:
                log.warning("the kernel's log is not watched: %s: %s", device, error.strerror)

    @property
    def readable(self) -> bool:
        """True while there is a log to read."""
        return self._log is not None

    @property
    def lost(self) -> int:
        """Records that were overwritten before they were read."""
        return self._log.lost if self._log is not None else 0

    def read(self) -> list[Matches]:
        """Compare all new records, and give how every pattern did."""
        if self._log is None:
            return []
        try:
            for record in self._log.read():
                if record.facility == _KERNEL:
                    for one in self.matches:
                        one.look(record.text, record.epoch)
        except OSError as error:
            log.warning("the kernel's log is not watched any more: %s", error.strerror)
            self.close()
        return self.matches

    def take_over(self, other: KernelLogReader) -> None:
        """Go on counting where another reader stopped; its patterns may be others."""
        before = {one.pattern.name: one for one in other.matches}
        for index, one in enumerate(self.matches):
            known = before.get(one.pattern.name)
            if known is not None and known.pattern == one.pattern:
                self.matches[index] = known
        if other._log is not None and self._log is not None:
            self.close()
            self._log, other._log = other._log, None

    def close(self) -> None:
        """Close the log."""
        if self._log is not None:
            with contextlib.suppress(OSError):
                self._log.close()
        self._log = None
