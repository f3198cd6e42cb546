"""Numbers of tasks, their limit, and forks that it refused. Kernel: kernel/cgroup/pids.c."""

from __future__ import annotations

from cgroup_model.snapshot import Need, Pids
from exporters.metric import Family, Group, counter, gauge, limit
from exporters.subject import Subject


def _pids(subject: Subject) -> Pids | None:
    return subject.snapshot.pids


FAMILIES = (
    Family(
        "pids",
        "Threads and their limit",
        (
            Group(
                Pids,
                _pids,
                (
                    gauge("container_threads", "Threads of the cgroup and all below it.", "current"),
                    gauge("container_threads_max", "Limit of threads; 0: none.", "max", limit),
                    gauge("container_threads_peak", "Most threads there ever were.", "peak"),
                    counter("container_pids_max_events_total", "Forks refused because of the limit.", "events_max"),
                ),
            ),
        ),
        needs=Need.PIDS,
        parts=("pids",),
    ),
)
