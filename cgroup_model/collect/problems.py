"""What could not be read: counted each time, logged once."""

from __future__ import annotations

import errno
import logging
from collections import Counter
from typing import Final

from cgroup_model.parse import ParseError
from cgroup_model.procfs import NoSuchTask
from cgroup_model.source import Missing

_log = logging.getLogger(__name__)

_MOST_REMEMBERED: Final = 4096  # (cgroup, part, reason); after so many they are logged once more

Forgivable = Missing | ParseError | NoSuchTask | OSError


class Problems(Counter[tuple[str, str]]):
    """(part, reason) -> how often. Reasons are few, whatever the files hold, so that they can be labels of a metric."""

    def __init__(self) -> None:
        super().__init__()
        self._logged: set[tuple[str, str, str]] = set()
        self.noted = 0
        """How many there were in all."""

    def note(self, path: str, part: str, error: Forgivable) -> None:
        """Count that ``part`` of the cgroup ``path`` is unknown, and log it the first time."""
        reason = _reason(error)
        self[part, reason] += 1
        self.noted += 1
        if (path, part, reason) in self._logged:
            return
        if len(self._logged) >= _MOST_REMEMBERED:
            self._logged.clear()
        self._logged.add((path, part, reason))
        # A kernel without a feature is no fault, anything else is worth a look. Paths may hold anything: quoted.
        detail = "" if isinstance(error, Missing) else f" ({error})"
        level = logging.INFO if isinstance(error, Missing) else logging.WARNING
        _log.log(level, "%s of cgroup %r is unknown: %s%s", part, path, reason, detail)


def _reason(error: Forgivable) -> str:
    if isinstance(error, Missing):
        return f"missing {error.name}"
    if isinstance(error, ParseError):
        return "malformed"
    if isinstance(error, NoSuchTask):
        return "task ended"
    return errno.errorcode.get(error.errno or 0, "error")
