"""The cgroup itself: when its first process started, whether it is frozen or empty, how many cgroups are below it.

Kernel: kernel/cgroup/cgroup.c, kernel/cgroup/freezer.c; start times are those of processes (``/proc/PID/stat``).
"""

from __future__ import annotations

from cgroup_model.snapshot import Core, Need
from exporters.metric import Family, Group, flag, gauge
from exporters.readers.starts import Start
from exporters.subject import Subject


def _core(subject: Subject) -> Core | None:
    return subject.snapshot.core


def _subject(subject: Subject) -> Subject | None:
    return subject


def _start(subject: Subject) -> Start | None:
    starts = subject.world.starts
    if starts is None or subject.is_root:
        return None
    return starts.read(subject.cgroup, empty=subject.is_empty)


FAMILIES = (
    Family(
        "state",
        "Life of the cgroup",
        (
            Group(
                Subject,
                _subject,
                (
                    gauge(
                        "container_last_seen", "When the cgroup was last seen: now, seconds of the epoch.", "now", round
                    ),
                ),
                origin="the clock of the scrape",
                lasting=False,
            ),
            Group(
                Start,
                _start,
                (
                    gauge(
                        "container_start_time_seconds", "When its first process started, seconds of the epoch.", "epoch"
                    ),
                ),
                origin="/proc/PID/stat of its processes",
                lasting=False,
            ),
            Group(
                Core,
                _core,
                (
                    gauge("container_frozen", "1 when all its tasks are frozen.", "frozen", flag),
                    gauge("container_populated", "1 when it or a cgroup below it has processes.", "populated", flag),
                    gauge("container_cgroup_descendants", "Cgroups below it.", "nr_descendants"),
                    gauge(
                        "container_cgroup_dying_descendants",
                        "Cgroups below it that were removed but whose memory is still charged.",
                        "nr_dying_descendants",
                    ),
                ),
            ),
        ),
        needs=Need.CORE | Need.PIDS,
        parts=("core",),
    ),
)
