"""One cgroup in all its hierarchies, and waiting for what the kernel does later."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

from cgroup_model.control.errors import failure, reported
from cgroup_model.dialects import Dialect, Dirs, dialect_for
from cgroup_model.mounts import Mounts, split_path
from cgroup_model.source import CgroupGone, Missing, Source

CONTROLLERS = ("", "memory", "cpu", "cpuacct", "cpuset", "io", "pids", "hugetlb", "freezer")
WAIT_SECONDS = 5.0  # for tasks to come to rest or die, and for the kernel to let go of a cgroup
PAUSE_SECONDS = 0.01


class Group:
    """One cgroup in all its hierarchies."""

    def __init__(self, mounts: Mounts, path: str) -> None:
        with reported("use", path):
            up, names = split_path(path)
        if up or not names:
            raise failure("use", path, "only cgroups below the root can be made and changed")
        self.path = path
        self.source = Source(budget=0)
        self._mounts = mounts
        served = {name: mounts.for_controller(name) for name in CONTROLLERS}
        self._served = {name: one for name, one in served.items() if one is not None}
        self.hierarchies = list({one.mountpoint: one for one in self._served.values()}.values())

    @property
    def dirs(self) -> Dirs:
        """The cgroup's directories by controller."""
        return self.dirs_of(self.path)

    def dirs_of(self, path: str) -> Dirs:
        """Another cgroup's directories, in the same hierarchies."""
        return {name: hierarchy.directory(path) for name, hierarchy in self._served.items()}

    @property
    def freezer(self) -> str:
        """The controller that freezes: v1's where there is one, since it is the one that engines use there."""
        return "freezer" if "freezer" in self._served else ""

    @contextmanager
    def changing(self, controller: str, doing: str, why: Mapping[int, str] | None = None) -> Iterator[Dialect]:
        """Give the dialect of a controller; errors come out as `ControlError`, ``why`` explains errnos."""
        with reported(doing, self.path, why):
            yield self.serving(controller)

    def serving(self, controller: str) -> Dialect:
        """Choose the dialect of a controller; raises `Missing` when nothing serves it."""
        if controller not in self._served:
            raise Missing(controller or "cgroup2")
        return dialect_for(self._served[controller])

    def procs(self) -> list[int]:
        """List the processes of the subtree in any hierarchy, ascending."""
        found: set[int] = set()
        for controller in self._served:
            dialect = self.serving(controller)
            for directory in self.directories(controller):
                with suppress(CgroupGone):  # removed meanwhile: nobody is in it
                    found.update(dialect.read_procs(self.source, directory))
        return sorted(found)

    def directories(self, controller: str) -> list[str]:
        """List the subtree's directories in the hierarchy of a controller, children before parents."""
        top = self._served[controller].directory(self.path)
        return [*below(top), top]


def below(top: str) -> list[str]:
    """All directories below, children before their parents."""
    return [directory for directory, _, _ in os.walk(top, topdown=False) if directory != top]


def within(seconds: float, done: Callable[[], bool]) -> bool:
    """Ask until ``done`` or until the time is over; at least once."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() >= deadline:
            return False
        time.sleep(PAUSE_SECONDS)
    return True
