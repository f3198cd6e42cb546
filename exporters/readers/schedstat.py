"""Time that tasks of a container ran and waited for a CPU, as the scheduler counts it.

Kernel: fs/proc/base.c (proc_pid_schedstat), Documentation/scheduler/sched-stats.rst; ``/proc/PID/schedstat`` of each
process's first thread: ``69509 1200 1``, nanoseconds on a CPU, nanoseconds waiting, times on a CPU.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from cgroup_model.hierarchy import Cgroup
from cgroup_model.procfs import NoSuchTask, Proc
from exporters.readers.members import Members

_MOST: Final = 4096  # processes of one container that are looked at


@dataclass(frozen=True, slots=True)
class Waiting:
    """Sums over the processes that a container has had while it was looked at."""

    run_nsec: int
    queue_nsec: int
    periods: int


class SchedstatReader:
    """Adds up; what processes had that ended is kept, so that sums never fall."""

    def __init__(self, members: Members, proc: Proc) -> None:
        self._members = members
        self._proc = proc
        self._last: dict[tuple[str, int], dict[int, tuple[int, int, int]]] = {}
        self._ended: dict[tuple[str, int], tuple[int, int, int]] = {}

    def read(self, cgroup: Cgroup) -> Waiting | None:
        """Read all processes of a container; None for the root, or where the kernel does not count."""
        if cgroup.path == "/":
            return None
        key = (cgroup.path, cgroup.inode)
        pids = [pid for pid, _ in zip(self._members.below(cgroup), range(_MOST), strict=False)]
        now = {pid: found for pid in pids if (found := self._one(pid)) is not None}
        if not now and key not in self._last:
            return None
        before = self._last.get(key, {})
        # A number that is less than before is another process under the same pid.
        gone = [last for pid, last in before.items() if pid not in now or now[pid] < last]
        self._last[key] = now
        self._ended[key] = _sum([self._ended.get(key, (0, 0, 0)), *gone])
        return Waiting(*_sum([self._ended[key], *now.values()]))

    def keep_only(self, alive: set[tuple[str, int]]) -> None:
        """Forget all cgroups but these (path, inode)."""
        for remembered in (self._last, self._ended):
            for key in remembered.keys() - alive:
                del remembered[key]

    def _one(self, pid: int) -> tuple[int, int, int] | None:
        try:
            words = self._proc.read(f"{pid}/schedstat").split()
        except (NoSuchTask, OSError):
            return None
        if len(words) != 3 or not all(word.isdigit() for word in words):
            return None
        return int(words[0]), int(words[1]), int(words[2])


def _sum(rows: Iterable[tuple[int, int, int]]) -> tuple[int, int, int]:
    first, second, third = 0, 0, 0
    for one, two, three in rows:
        first, second, third = first + one, second + two, third + three
    return first, second, third
