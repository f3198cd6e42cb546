"""/proc/loadavg: load, threads and newest pid of the container.

Kernel: fs/proc/loadavg.c, which adds 1/200 and cuts; load averages in fixed point, include/linux/sched/loadavg.h.

    0.06 0.02 0.00 2/92 5690
"""

from __future__ import annotations

from cgroup_model.snapshot import Load, Need, Snapshot, Tasks
from procfs_fuse.views.stat import running_tasks

PATH = "proc/loadavg"
NEEDS = Need.LOAD | Need.TASKS

_FIXED_1 = 1 << 11
_ROUNDING = _FIXED_1 // 200
_INIT = 1  # in every pid namespace


def render(snapshot: Snapshot) -> bytes:
    """Return the line; empty if neither averages nor tasks are known."""
    tasks = snapshot.tasks
    load = snapshot.load or _present_load(tasks)
    if load is None:
        return b""
    averages = b" ".join([_average(value) for value in (load.one, load.five, load.fifteen)])
    if tasks is None:
        return averages + b" 1/1 1\n"
    running = running_tasks(tasks)
    newest = tasks.last_pid or tasks.highest_pid or _INIT
    return b"%s %d/%d %d\n" % (averages, running, max(running, tasks.total), newest)


def _present_load(tasks: Tasks | None) -> Load | None:
    """Estimate an unknown average by the present number of what is averaged."""
    if tasks is None:
        return None
    now = float(tasks.running + tasks.uninterruptible)
    return Load(now, now, now)


def _average(load: float) -> bytes:
    fixed = int(load * _FIXED_1) + _ROUNDING
    return b"%d.%02d" % (fixed // _FIXED_1, fixed % _FIXED_1 * 100 // _FIXED_1)
