"""The last lines of a container's log."""

from __future__ import annotations

import os
from typing import Final

from cgroup_model.logs import find_log, message

_LAST_BYTES: Final = 1 << 18
_MOST_LINES: Final = 2000


def last_lines(path: str) -> list[str]:
    """The last lines, decoded from Docker's JSON or CRI's prefix where they have one; raises OSError."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _LAST_BYTES))
        data = file.read()
    lines = data.decode("utf-8", "replace").splitlines()
    if size > _LAST_BYTES:
        lines = lines[1:]  # cut in the middle
    return [message(line) for line in lines[-_MOST_LINES:]]


__all__ = ["find_log", "last_lines"]
