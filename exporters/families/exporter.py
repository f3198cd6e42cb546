"""The exporter about itself. Written last, so that it can tell of the page it is on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from exporters.metric import Family, Group, LabelValues, counter, flag, gauge
from exporters.status import Outcome, Status
from exporters.subject import Machine


@dataclass(frozen=True, slots=True)
class _Count:
    """A number with labels."""

    value: int


def _status(machine: Machine) -> Status | None:
    return machine.status


def _build(machine: Machine) -> Iterator[tuple[LabelValues, _Count]]:
    if machine.status is not None:
        yield (machine.status.version, machine.status.python, machine.status.world), _Count(1)


def _outcomes(machine: Machine) -> Iterator[tuple[LabelValues, Outcome]]:
    for name, outcome in (machine.status.outcomes if machine.status else {}).items():
        yield (name,), outcome


def _problems(machine: Machine) -> Iterator[tuple[LabelValues, _Count]]:
    for labels, number in sorted((machine.status.problems if machine.status else {}).items()):
        yield labels, _Count(number)


def _http(machine: Machine) -> Iterator[tuple[LabelValues, _Count]]:
    for labels, number in sorted((machine.status.http if machine.status else {}).items()):
        yield labels, _Count(number)


_BUILD = ("version", "python", "cgroups")
_COLLECTOR = ("collector",)
_PROBLEM = ("part", "reason")
_HTTP = ("path", "code")

_NUMBERS = (
    counter("cgroup_exporter_scrapes_total", "Times the control files were read.", "scrapes"),
    gauge("cgroup_exporter_read_duration_seconds", "Time this scrape took to read control files.", "read_seconds"),
    gauge("cgroup_exporter_scrape_duration_seconds", "Time this scrape took, before it was written.", "scrape_seconds"),
    gauge("cgroup_exporter_containers", "Containers and other cgroups on this page.", "containers"),
    counter("cgroup_exporter_containers_vanished_total", "Cgroups that went while they were read.", "vanished"),
    gauge("cgroup_exporter_series", "Values of containers on this page.", "series"),
    counter("cgroup_exporter_series_dropped_total", "Values left out to keep --max-series.", "series_dropped"),
    gauge("cgroup_exporter_open_descriptors", "Control files that are kept open.", "open_descriptors"),
    gauge("cgroup_exporter_open_descriptors_max", "Control files that may be kept open.", "descriptor_budget"),
    counter("process_cpu_seconds_total", "CPU time of the exporter.", "cpu_seconds"),
    gauge("process_resident_memory_bytes", "Memory of the exporter that is in RAM.", "resident_bytes"),
    gauge("process_open_fds", "Open descriptors of the exporter.", "process_descriptors"),
    gauge("process_max_fds", "Descriptors that the exporter may have.", "most_descriptors"),
    gauge("process_start_time_seconds", "When the exporter started, seconds of the epoch.", "started_epoch"),
)

FAMILIES = (
    Family(
        "exporter",
        "The exporter itself",
        (
            Group(Status, _status, _NUMBERS, origin="the exporter itself"),
            Group(
                _Count,
                _build,
                (gauge("cgroup_exporter_build_info", "1; what runs where.", "value", labels=_BUILD),),
                labels=_BUILD,
                origin="the exporter itself",
            ),
            Group(
                Outcome,
                _outcomes,
                (
                    gauge(
                        "cgroup_exporter_collector_duration_seconds",
                        "Time a collector took in this scrape.",
                        "duration_seconds",
                        labels=_COLLECTOR,
                    ),
                    gauge(
                        "cgroup_exporter_collector_success",
                        "1 when a collector said all it had to say.",
                        "success",
                        flag,
                        labels=_COLLECTOR,
                    ),
                ),
                labels=_COLLECTOR,
                origin="the exporter itself",
            ),
            Group(
                _Count,
                _problems,
                (
                    counter(
                        "cgroup_exporter_read_problems_total",
                        "Parts of containers that could not be read, with the reason.",
                        "value",
                        labels=_PROBLEM,
                    ),
                ),
                labels=_PROBLEM,
                origin="the exporter itself",
            ),
            Group(
                _Count,
                _http,
                (counter("cgroup_exporter_http_requests_total", "Requests answered.", "value", labels=_HTTP),),
                labels=_HTTP,
                origin="the exporter itself",
            ),
        ),
        of="machine",
    ),
)
