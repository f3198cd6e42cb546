"""The files of containers that are about to start, made ready between their cgroup's making and their first program."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cgroup_model.layout import Cgroup, served_by
from cgroup_model.mounts import Mounts, OutOfSight
from cgscope.errors import Failure
from procfs_fuse.attach.sources import Supply
from procfs_fuse.instances import Instance

_MOST: Final = 16  # containers: each takes as many descriptors as it gets files
_PAUSE_SECONDS: Final = 0.002  # before the second look at one that is being made; twice as long before each other

_Life = tuple[str, int]
"""Path and inode: this very cgroup, not the next one with its path."""


@dataclass(slots=True)
class _Task:
    key: str
    next_look: float
    pause: float = _PAUSE_SECONDS


class Preparations:
    """Supplies of containers, made file by file when there is nothing more urgent to do."""

    def __init__(self, instance: Instance, mounts: Mounts, clock: Callable[[], float] = time.monotonic) -> None:
        self._instance = instance
        self._hierarchies = [served.hierarchy for served in served_by(mounts)]
        self._clock = clock
        self._supplies: dict[_Life, Supply] = {}
        self._tasks: dict[_Life, _Task] = {}

    @property
    def next_look(self) -> float | None:
        """When there is something to be made; None: nothing."""
        return min((task.next_look for task in self._tasks.values()), default=None)

    def begin(self, cgroup: Cgroup, key: str) -> None:
        """Make ready what a container will need, if there is room."""
        if len(self._supplies.keys() | self._tasks.keys()) < _MOST:
            self._tasks[_life(cgroup)] = _Task(key, self._clock())

    def go_on(self) -> bool:
        """Make one more thing, if there is one to be made. When it cannot be made, attaching will say why."""
        now = self._clock()
        life = next((life for life, task in self._tasks.items() if task.next_look <= now), None)
        if life is None:
            return False
        task = self._tasks[life]
        try:
            if life in self._supplies:
                if not self._supplies[life].make_one():
                    del self._tasks[life]
            elif self._is_complete(life[0]):
                self._supplies[life] = Supply(self._instance, task.key)
            else:
                task.next_look, task.pause = now + task.pause, 2 * task.pause
        except (Failure, OSError):
            self._drop(life)
        return True

    def take(self, cgroup: Cgroup) -> Supply | None:
        """Give away what was made for a container, if that is of use still; it is the caller's to close."""
        life = _life(cgroup)
        self._tasks.pop(life, None)
        supply = self._supplies.pop(life, None)
        if supply is not None and not supply.is_current():
            supply.close()
            return None
        return supply

    def drop(self, path: str) -> None:
        """Let go of what was made for the cgroups that were at ``path``."""
        for life in [one for one in (*self._supplies, *self._tasks) if one[0] == path]:
            self._drop(life)

    def close(self) -> None:
        """Let go of everything."""
        for life in (*self._supplies, *self._tasks):
            self._drop(life)

    def _drop(self, life: _Life) -> None:
        self._tasks.pop(life, None)
        supply = self._supplies.pop(life, None)
        if supply is not None:
            supply.close()

    def _is_complete(self, path: str) -> bool:
        """Whether a cgroup is in all hierarchies that are read.

        Before, nobody is to ask for its files: some would be missing, and the server remembers that for a moment.
        """
        try:
            return all(os.path.isdir(one.directory(path)) for one in self._hierarchies)
        except OutOfSight:
            return False


def _life(cgroup: Cgroup) -> _Life:
    return cgroup.path, cgroup.inode
