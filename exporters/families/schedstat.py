"""How long tasks ran and waited for a CPU, under cAdvisor's names."""

from __future__ import annotations

from exporters.metric import Family, Group, counter
from exporters.readers.schedstat import Waiting
from exporters.subject import Subject


def _waiting(subject: Subject) -> Waiting | None:
    reader = subject.world.schedstat
    return reader.read(subject.cgroup) if reader is not None else None


def _seconds(nsec: int) -> float:
    return nsec / 1_000_000_000


FAMILIES = (
    Family(
        "schedstat",
        "Time on and in front of CPUs, from the scheduler",
        (
            Group(
                Waiting,
                _waiting,
                (
                    counter(
                        "container_cpu_schedstat_run_seconds_total",
                        "Time the first threads of its processes ran.",
                        "run_nsec",
                        _seconds,
                    ),
                    counter(
                        "container_cpu_schedstat_runqueue_seconds_total",
                        "Time they waited for a CPU.",
                        "queue_nsec",
                        _seconds,
                    ),
                    counter("container_cpu_schedstat_run_periods_total", "Times they got one.", "periods"),
                ),
                origin="/proc/PID/schedstat, added up; of processes that were there at some scrape",
            ),
        ),
        default=False,
        why_off="every process is looked at",
    ),
)
