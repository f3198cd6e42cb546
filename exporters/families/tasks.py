"""Threads by state, under cAdvisor's name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from exporters.metric import Family, Group, LabelValues, gauge
from exporters.subject import Subject

_LABELS = ("state",)


@dataclass(frozen=True, slots=True)
class _InState:
    """How many threads are in one state."""

    threads: int


def _states(subject: Subject) -> Iterable[tuple[LabelValues, _InState]]:
    reader = subject.world.states
    if reader is None or subject.is_root:
        return ()
    return [((state,), _InState(threads)) for state, threads in reader.read(subject.cgroup).items()]


FAMILIES = (
    Family(
        "tasks",
        "Threads by state",
        (
            Group(
                _InState,
                _states,
                (
                    gauge(
                        "container_tasks_state",
                        "Threads in this state; absent where a container has more than 8192.",
                        "threads",
                        labels=_LABELS,
                    ),
                ),
                labels=_LABELS,
                origin="/proc/PID/task/TID/stat of its threads",
            ),
        ),
        default=False,
        why_off="every thread is looked at",
    ),
)
