"""When containers started, in seconds of the epoch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from cgroup_model.hierarchy import Cgroup
from cgroup_model.source import CgroupGone

_RETRY_SECONDS: Final = 10.0  # a cgroup without processes is asked again after so long


@dataclass(frozen=True, slots=True)
class Start:
    """When a container's first process started, and when to ask again while that is unknown."""

    epoch: float | None
    retry_at: float = 0.0


class Ages(Protocol):
    """Who knows the age of a cgroup: `cgroup_model.history.History`."""

    def age(self, cgroup: Cgroup) -> float | None:
        """Seconds since its first process started."""

    def keep_only(self, alive: Iterable[tuple[str, int]]) -> None:
        """Forget all cgroups but these (path, inode)."""


class StartReader:
    """Start times, each worked out once: so that they stay the same to the last digit while the clock is slewed."""

    def __init__(self, ages: Ages, clock: Callable[[], float] = time.time) -> None:
        self._ages = ages
        self._clock = clock
        self._known: dict[tuple[str, int], Start] = {}

    def read(self, cgroup: Cgroup, *, empty: bool = False) -> Start | None:
        """Give the start time; None while the cgroup has had no process. ``empty``: it has none now."""
        key = (cgroup.path, cgroup.inode)
        known = self._known.get(key)
        if known is None and empty:
            return None
        if known is None or (known.epoch is None and self._clock() >= known.retry_at):
            known = self._known[key] = self._ask(cgroup)
        return known if known.epoch is not None else None

    def keep_only(self, alive: Iterable[tuple[str, int]]) -> None:
        """Forget all cgroups but these (path, inode)."""
        for key in self._known.keys() - set(alive):
            del self._known[key]
        self._ages.keep_only(self._known)

    def _ask(self, cgroup: Cgroup) -> Start:
        now = self._clock()
        try:
            age = self._ages.age(cgroup)
        except (CgroupGone, OSError):
            age = None
        return Start(None if age is None else round(now - age, 2), now + _RETRY_SECONDS)
