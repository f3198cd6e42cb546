"""Processes of a container, and the descriptors and sockets they hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from exporters.metric import Family, Group, LabelValues, gauge
from exporters.readers.processes import Held
from exporters.subject import Subject

_STATE = ("state",)


@dataclass(frozen=True, slots=True)
class _InState:
    """How many processes are in one state."""

    processes: int


def _held(subject: Subject) -> Held | None:
    reader = subject.world.processes
    return reader.read(subject.cgroup) if reader is not None else None


def _states(subject: Subject) -> Iterator[tuple[LabelValues, _InState]]:
    held = _held(subject)
    for state, processes in sorted(held.states.items()) if held is not None else ():
        yield (state,), _InState(processes)


FAMILIES = (
    Family(
        "processes",
        "Processes and what they hold open",
        (
            Group(
                Held,
                _held,
                (
                    gauge("container_processes", "Processes of the cgroup and all below it.", "processes"),
                    gauge("container_file_descriptors", "Descriptors that they hold.", "file_descriptors"),
                    gauge("container_sockets", "Sockets among these.", "sockets"),
                    gauge(
                        "container_ulimits_soft",
                        "Soft limit of the first process; absent when there is none.",
                        "open_files_limit",
                        ulimit="max_open_files",
                    ),
                ),
                origin="/proc/PID/fd, /proc/PID/limits",
            ),
            Group(
                _InState,
                _states,
                (gauge("container_processes_state", "Processes by state.", "processes", labels=_STATE),),
                labels=_STATE,
                origin="/proc/PID/stat",
            ),
        ),
        default=False,
        why_off="every process is looked at, and every descriptor of it",
    ),
)
