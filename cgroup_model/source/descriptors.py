"""Descriptors that are kept open, by directory; the directory that was read longest ago goes first."""

from __future__ import annotations

import os
import resource
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Final

RESERVED_DESCRIPTORS: Final = 512  # left to the rest of the process: sockets, mounts, logs
MOST_DESCRIPTORS: Final = 8192  # 32 MiB of kernel memory with 4 KiB pages


def default_budget() -> int:
    """Raise the soft RLIMIT_NOFILE to the hard one and take what it allows, less a reserve."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
        except (ValueError, OSError):  # not allowed, e.g. by seccomp: live with the soft limit
            pass
    if soft == resource.RLIM_INFINITY:
        return MOST_DESCRIPTORS
    return max(0, min(MOST_DESCRIPTORS, soft - RESERVED_DESCRIPTORS))


class Descriptors:
    """Open descriptors: directory -> name -> number. Not for use by several threads at once.

    At most ``budget``. A directory that was used within ``settled_seconds`` is not given up for another: when all are
    read in turn, the one that was used longest ago is the one that is needed next. ``dropped`` is told of each
    directory whose descriptors are closed.
    """

    def __init__(
        self, budget: int, settled_seconds: float, clock: Callable[[], float], dropped: Callable[[str], None]
    ) -> None:
        self.budget = budget
        self.count = 0
        self._settled_seconds = settled_seconds
        self._clock = clock
        self._dropped = dropped
        self._open: OrderedDict[str, dict[str, int]] = OrderedDict()
        self._used: dict[str, float] = {}  # directory -> when it was read last; only with settled_seconds
        self._now = clock()
        self._last = ""  # the directory that was read last

    def refresh(self) -> None:
        """Take the time: for what is used from now on until the next call."""
        self._now = self._clock()

    def of(self, directory: str) -> Mapping[str, int]:
        """Give what is open of a directory, which counts as used."""
        found = self._open.get(directory)
        if found is None:
            return {}
        self.touch(directory)
        return found

    def touch(self, directory: str) -> None:
        """Count a directory of which something is open as used."""
        if directory == self._last:
            return
        self._last = directory
        if not self._settled_seconds:
            self._open.move_to_end(directory)
        elif self._used[directory] != self._now:  # once per pass is enough
            self._used[directory] = self._now
            self._open.move_to_end(directory)

    def keep(self, directory: str, name: str, descriptor: int) -> bool:
        """Take over a descriptor, if the budget allows."""
        if not self.budget or (self.count >= self.budget and self._is_settled()):
            return False
        self._shrink(self.budget - 1)
        self._open.setdefault(directory, {})[name] = descriptor
        self.count += 1
        self._used[directory] = self._now
        self._open.move_to_end(directory)
        self._last = directory
        return True

    def keep_fewer(self) -> None:
        """Give back half: the process ran out of descriptors."""
        self.budget = self.count // 2
        self._shrink(self.budget)

    def drop(self, directory: str) -> None:
        """Close what is open of a directory."""
        self._used.pop(directory, None)
        if self._last == directory:
            self._last = ""
        descriptors = self._open.pop(directory, {})
        self.count -= len(descriptors)
        for descriptor in descriptors.values():
            os.close(descriptor)
        self._dropped(directory)

    def __iter__(self) -> Iterator[str]:
        """Yield the directories of which something is open."""
        return iter(self._open)

    def __len__(self) -> int:
        return len(self._open)

    def _is_settled(self) -> bool:
        """Tell whether even the directory that was read longest ago is still in use."""
        if not self._settled_seconds:
            return False
        self.refresh()
        return self._now - self._used[next(iter(self._open))] < self._settled_seconds

    def _shrink(self, count: int) -> None:
        while self.count > count:
            self.drop(next(iter(self._open)))
