"""The virtual /proc about itself: does it answer, who serves, what was asked, what could not be told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from exporters.metric import Column, Family, Group, LabelValues, counter, flag, gauge
from exporters.readers.procfs_fuse import Attached, Health, Instance, Process
from exporters.subject import Machine

_MOUNT = ("mountpoint",)
_ORIGIN = "its sockets, as `procfs-fuse status`"
_ATTACHED = "attached.json of its state directory"


@dataclass(frozen=True, slots=True)
class _Figures:
    """Numbers of one instance; None: unknown, since nobody tells."""

    up: bool
    serving: bool | None
    started_epoch: float | None
    workers: int | None
    replaced: int | None
    hung: int | None
    upgrades: int | None
    repaired: int | None
    containers: int | None
    passthrough: bool | None
    open_files: int | None
    descriptors: int | None
    not_kept: int | None

    @classmethod
    def of(cls, one: Instance) -> _Figures:
        """Take them out of what was told."""
        workers, repaired = one.told("worker_pids"), one.told("repaired")
        return cls(
            one.up,
            one.serving,
            one.started_epoch,
            None if workers is None else len(workers),
            one.told("restarts"),
            one.told("hung"),
            one.told("generation"),
            None if repaired is None else len(repaired),
            one.told("containers"),
            one.told("passthrough"),
            one.told("open_files"),
            one.told("descriptors"),
            one.told("not_kept"),
        )


@dataclass(frozen=True, slots=True)
class _Count:
    """A number with labels."""

    value: int


def _health(machine: Machine) -> Health:
    reader = machine.world.procfs_fuse
    return reader.read() if reader is not None else Health(())


def _figures(machine: Machine) -> Iterator[tuple[LabelValues, _Figures]]:
    for one in _health(machine).instances:
        yield (one.mountpoint,), _Figures.of(one)


def _info(machine: Machine) -> Iterator[tuple[LabelValues, _Count]]:
    for one in _health(machine).instances:
        if one.service is not None:
            yield (one.mountpoint, one.transport, str(one.service.get("world", ""))), _Count(1)


def _requests(machine: Machine) -> Iterator[tuple[LabelValues, _Count]]:
    for one in _health(machine).instances:
        for connection, kinds in (one.told("operations") or {}).items():
            for operation, number in kinds.items():
                yield (one.mountpoint, connection, operation), _Count(number)


def _errors(machine: Machine) -> Iterator[tuple[LabelValues, _Count]]:
    for one in _health(machine).instances:
        for kind, number in (one.told("errors") or {}).items():
            yield (one.mountpoint, kind), _Count(number)


def _listed(name: str, what: str) -> Callable[[Machine], Iterator[tuple[LabelValues, _Count]]]:
    """Select a list of status: ``what`` and the reason are labels."""

    def rows(machine: Machine) -> Iterator[tuple[LabelValues, _Count]]:
        for one in _health(machine).instances:
            for row in one.told(name) or ():
                yield (one.mountpoint, row[what], row["reason"]), _Count(row["count"])

    return rows


def _attached(machine: Machine) -> Iterator[tuple[LabelValues, Attached]]:
    for one in _health(machine).instances:
        if one.up and one.attached is not None:
            yield (one.mountpoint,), one.attached


def _failures(machine: Machine) -> Iterator[tuple[LabelValues, _Count]]:
    for (mountpoint,), attached in _attached(machine):
        for reason, number in attached.failed_total.items():
            yield (mountpoint, reason), _Count(number)


def _processes(machine: Machine) -> Iterator[tuple[LabelValues, Process]]:
    for one in _health(machine).instances:
        for part, process in one.processes.items():
            yield (one.mountpoint, part), process


def _agent_calls(machine: Machine) -> Iterator[tuple[LabelValues, _Count]]:
    agent: Mapping[str, Any] = _health(machine).agent or {}
    for outcome in ("answered", "continued"):
        if outcome in agent:
            yield (outcome,), _Count(agent[outcome])


def _agent(machine: Machine) -> _Count | None:
    agent = _health(machine).agent
    return None if agent is None else _Count(agent["listeners"])


_FIGURES = (
    gauge(
        "procfs_fuse_up",
        "1 when the process that holds the mounts answers; 0: it died without unmounting, or hangs.",
        "up",
        flag,
        labels=_MOUNT,
    ),
    gauge(
        "procfs_fuse_serving",
        "1 when somebody answers containers; 0: their reads wait, and fail after five seconds.",
        "serving",
        flag,
        labels=_MOUNT,
    ),
    gauge(
        "procfs_fuse_start_time_seconds", "When it was mounted, seconds of the epoch.", "started_epoch", labels=_MOUNT
    ),
    gauge("procfs_fuse_workers", "Processes that serve or stand by: two when all is well.", "workers", labels=_MOUNT),
    counter(
        "procfs_fuse_worker_replacements_total",
        "Times that another worker went on serving: after a death, a hang or an upgrade.",
        "replaced",
        labels=_MOUNT,
    ),
    counter(
        "procfs_fuse_workers_hung_total",
        "Workers that were killed because they took too long for a request.",
        "hung",
        labels=_MOUNT,
    ),
    gauge("procfs_fuse_upgrades", "Upgrades that the same mounts have lived through.", "upgrades", labels=_MOUNT),
    gauge(
        "procfs_fuse_containers_repaired",
        "Containers that were healed at its start, since everything had died before.",
        "repaired",
        labels=_MOUNT,
    ),
    gauge(
        "procfs_fuse_containers", "Containers and other cgroups that it can answer for.", "containers", labels=_MOUNT
    ),
    gauge(
        "procfs_fuse_passthrough",
        "1 while containers are shown the machine's values.",
        "passthrough",
        flag,
        labels=_MOUNT,
    ),
    gauge("procfs_fuse_open_files", "Virtual files that are open.", "open_files", labels=_MOUNT),
    gauge("procfs_fuse_open_descriptors", "Descriptors of the process that serves.", "descriptors", labels=_MOUNT),
    counter(
        "procfs_fuse_records_not_kept_total",
        "Records for the next worker that found no room; since the present worker began.",
        "not_kept",
        labels=_MOUNT,
    ),
)


def _counts(
    column: Column, labels: tuple[str, ...], select: Callable[[Machine], Iterator[tuple[LabelValues, _Count]]]
) -> Group:
    """Make the group of one number with labels."""
    return Group(_Count, select, (column,), labels=labels, origin=_ORIGIN)


_INFO = (*_MOUNT, "transport", "cgroups")
_REQUEST = (*_MOUNT, "connection", "operation")
_ERROR = (*_MOUNT, "kind")
_FALLBACK = (*_MOUNT, "file", "reason")
_UNREADABLE = (*_MOUNT, "part", "reason")
_FAILURE = (*_MOUNT, "reason")
_PROCESS = (*_MOUNT, "process")

FAMILIES = (
    Family(
        "procfs_fuse",
        "The virtual /proc itself, where one is mounted; asking takes root",
        (
            Group(_Figures, _figures, _FIGURES, labels=_MOUNT, origin=_ORIGIN),
            _counts(gauge("procfs_fuse_info", "1; how it is served.", "value", labels=_INFO), _INFO, _info),
            _counts(
                counter(
                    "procfs_fuse_requests_total",
                    "Requests of the kernel; what its page cache answers is none. Since the present worker began.",
                    "value",
                    labels=_REQUEST,
                ),
                _REQUEST,
                _requests,
            ),
            _counts(
                counter(
                    "procfs_fuse_errors_total",
                    "Failures of the server itself; since the present worker began.",
                    "value",
                    labels=_ERROR,
                ),
                _ERROR,
                _errors,
            ),
            _counts(
                counter(
                    "procfs_fuse_fallbacks_total",
                    "Answers that were a container's last good value or the machine's; since the present worker began.",
                    "value",
                    labels=_FALLBACK,
                ),
                _FALLBACK,
                _listed("fallbacks", "file"),
            ),
            _counts(
                counter(
                    "procfs_fuse_read_problems_total",
                    "Parts of containers that could not be read; since the present worker began.",
                    "value",
                    labels=_UNREADABLE,
                ),
                _UNREADABLE,
                _listed("unreadable", "part"),
            ),
            Group(
                Attached,
                _attached,
                (
                    gauge("procfs_fuse_attached_containers", "Containers that it attached.", "attached", labels=_MOUNT),
                    gauge(
                        "procfs_fuse_unattached_containers",
                        "Containers that it should have attached and could not.",
                        "lacking",
                        labels=_MOUNT,
                    ),
                    counter(
                        "procfs_fuse_attaches_total", "Containers attached so far.", "attached_total", labels=_MOUNT
                    ),
                    counter(
                        "procfs_fuse_attach_delay_seconds_total",
                        "Time from the start of a container's program to its last file, of timed attaches together.",
                        "delay_seconds_total",
                        labels=_MOUNT,
                    ),
                    counter(
                        "procfs_fuse_timed_attaches_total",
                        "Containers attached of which the kernel told when their program started.",
                        "timed_total",
                        labels=_MOUNT,
                    ),
                    counter(
                        "procfs_fuse_late_attaches_total",
                        "Of these, those that took longer than 50 ms.",
                        "late_total",
                        labels=_MOUNT,
                    ),
                ),
                labels=_MOUNT,
                origin=_ATTACHED,
            ),
            Group(
                _Count,
                _failures,
                (
                    counter(
                        "procfs_fuse_attach_failures_total",
                        "Containers that could not be attached, after four attempts: the kernel has no calls for it "
                        "(kernel), it is none of ours (refused), there are no files for it (files), no process could "
                        "enter it (helper) or that hung there (hangs), one of the files could not be mounted (mount).",
                        "value",
                        labels=_FAILURE,
                    ),
                ),
                labels=_FAILURE,
                origin=_ATTACHED,
            ),
            Group(
                Process,
                _processes,
                (
                    counter(
                        "procfs_fuse_process_cpu_seconds_total",
                        "CPU time of the processes that are there now.",
                        "cpu_seconds",
                        labels=_PROCESS,
                    ),
                    gauge(
                        "procfs_fuse_process_resident_memory_bytes",
                        "Their memory that is in RAM; what they share counts for each.",
                        "resident_bytes",
                        labels=_PROCESS,
                    ),
                ),
                labels=_PROCESS,
                origin="/proc/PID/stat",
            ),
            _counts(
                counter(
                    "procfs_fuse_agent_calls_total",
                    "System calls that its agent answered, or left to the kernel (continued).",
                    "value",
                    labels=("outcome",),
                ),
                ("outcome",),
                _agent_calls,
            ),
            Group(
                _Count,
                _agent,
                (gauge("procfs_fuse_agent_containers", "Containers whose calls its agent answers.", "value"),),
                origin=_ORIGIN,
            ),
        ),
        of="machine",
    ),
)
