"""Threads of a container by state: what runs, what waits for the disk, and the pids in use.

Kernel: fs/proc/array.c (state letters). The load average counts R and D, as kernel/sched/loadavg.c does (kernel
threads that idle uninterruptibly show as I and are not counted).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cgroup_model.procfs import NoSuchTask, PidNamespace, Proc, TaskStat
from cgroup_model.snapshot import Tasks


@dataclass(frozen=True, slots=True)
class Membership:
    """The processes and threads of a cgroup and all cgroups below it, as numbers of this pid namespace."""

    processes: Sequence[int]
    threads: Sequence[int]


def count_tasks(proc: Proc, members: Membership) -> Tasks:
    """Count states; tasks that end while they are counted are left out. O(threads) reads of ``/proc``."""
    running = uninterruptible = total = 0
    newest = (-1, 0)  # (start, tid)
    for tid, stat in _stats(proc, members):
        total += 1
        running += stat.state == "R"
        uninterruptible += stat.state == "D"
        newest = max(newest, (stat.starttime_ticks, tid))
    last_pid, highest_pid = _numbers(proc, members, newest[1]) if total else (None, None)
    return Tasks(
        running=running,
        uninterruptible=uninterruptible,
        total=total,
        processes=len(members.processes),
        last_pid=last_pid,
        highest_pid=highest_pid,
        forks=last_pid,
    )


def _stats(proc: Proc, members: Membership) -> list[tuple[int, TaskStat]]:
    # The short path sums CPU time over the whole thread group: quadratic for a process with many threads.
    read = proc.stat if len(members.threads) == len(members.processes) else proc.thread_stat
    found = []
    for tid in members.threads:
        try:
            found.append((tid, read(tid)))
        except (NoSuchTask, OSError):
            continue
    return found


def _numbers(proc: Proc, members: Membership, newest: int) -> tuple[int | None, int | None]:
    """(last pid, highest pid) in the container's own numbers, both over processes and threads."""
    try:
        with proc.open_pid_namespace(members.processes[0]) as namespace:
            numbers = _numbers_in(namespace, members.threads)
            return namespace.number_of(newest), max(numbers, default=None)
    except (NoSuchTask, OSError, IndexError):
        return None, None


def _numbers_in(namespace: PidNamespace, threads: Sequence[int]) -> list[int]:
    return [number for tid in threads if (number := namespace.number_of(tid)) is not None]
