"""Logs of containers compared with patterns: what was written since the last look, as far as that is not too much.

A log is followed from its end when its container is first seen. Rotated files are followed by inode, truncated ones
from the beginning. Of each log at most `MOST_BYTES` are read at a time; what is more is skipped and counted.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from cgroup_model.engines import Identity
from cgroup_model.hierarchy import Cgroup
from cgroup_model.logs import find_log, message
from exporters.alerts.patterns import Matches, Pattern
from exporters.labels import Names

MOST_BYTES: Final = 1 << 20
_AGAIN_SECONDS: Final = 30.0  # between two looks for a log that is not there


@dataclass(slots=True)
class _Tail:
    """Where we are in one container's log. ``begun``: the first look only finds its end."""

    matches: list[Matches]
    path: str | None = None
    look_at: float = 0.0
    inode: int = 0
    offset: int = 0
    begun: bool = False
    rest: bytes = b""
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class Watched:
    """One container's log after a look. ``skipped_bytes`` were not looked at."""

    matches: Sequence[Matches] = ()
    skipped_bytes: int = 0


@dataclass(slots=True)
class ContainerLogReader:
    """Reads the logs of those containers that a pattern is for. ``clock`` gives seconds of the epoch."""

    patterns: Sequence[Pattern]
    fs_root: str = "/"
    clock: Callable[[], float] = time.time
    _tails: dict[tuple[str, int], _Tail] = field(default_factory=dict)

    def read(self, cgroup: Cgroup, identity: Identity, names: Names) -> Watched | None:
        """Look at a container's log; None when no pattern is for it."""
        key = (cgroup.path, cgroup.inode)
        tail = self._tails.get(key)
        if tail is None:
            own = {**names.others, **names.labels}
            fitting = [one for one in self.patterns if one.which.fits(own, identity.labels)]
            tail = self._tails[key] = _Tail([Matches(pattern) for pattern in fitting])
        if not tail.matches:
            return None
        if tail.path is None and self.clock() >= tail.look_at:
            tail.path = find_log(identity, self.fs_root)
            tail.look_at = self.clock() + _AGAIN_SECONDS
        if tail.path is None:
            return None
        self._follow(tail, tail.path)
        return Watched(tail.matches, tail.skipped)

    def keep_only(self, alive: set[tuple[str, int]]) -> None:
        """Forget all cgroups but these (path, inode)."""
        for key in self._tails.keys() - alive:
            del self._tails[key]

    def take_over(self, other: ContainerLogReader) -> None:
        """Go on where another reader stopped, when it looked for the same."""
        if list(self.patterns) == list(other.patterns):
            self._tails = other._tails

    def _follow(self, tail: _Tail, path: str) -> None:
        try:
            with open(path, "rb", buffering=0) as file:
                data = self._new(tail, file.fileno())
        except OSError:  # rotated at this moment, or the container is gone
            tail.path = None
            return
        *lines, tail.rest = (tail.rest + data).split(b"\n")
        tail.rest = tail.rest[-MOST_BYTES:]
        now = self.clock()
        for line in lines:
            text = message(line.decode("utf-8", "replace"))
            for one in tail.matches:
                one.look(text, now)

    def _new(self, tail: _Tail, descriptor: int) -> bytes:
        """Read what is new in the file, from the end if it is too much."""
        status = os.fstat(descriptor)
        if not tail.begun:
            tail.begun, tail.inode, tail.offset = True, status.st_ino, status.st_size
        elif status.st_ino != tail.inode or status.st_size < tail.offset:
            tail.inode, tail.offset, tail.rest = status.st_ino, 0, b""
        excess = status.st_size - tail.offset - MOST_BYTES
        if excess > 0:
            tail.skipped += excess
            tail.offset, tail.rest = tail.offset + excess, b""
        data = os.pread(descriptor, MOST_BYTES, tail.offset)
        tail.offset += len(data)
        return data
