"""What the page shows of each container: metrics of the catalogue, taken from a sheet as columns.

The API calls a value as `/metrics` does, so there is one vocabulary. Counters stay counters: rates are the page's
business.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from exporters.families import FAMILIES
from exporters.labels import Names
from exporters.metric import Number
from exporters.sheet import Part, Sheet


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of a container: all samples of a metric that have the labels ``where``, added up.

    ``settled``: it changes seldom (a limit, a start time), so it is sent with the names.
    """

    metric: str
    where: tuple[tuple[str, str], ...] = ()
    settled: bool = False


FIGURES: Final = (
    Figure("container_start_time_seconds", settled=True),
    Figure("container_effective_cpu_limit_cores", settled=True),
    Figure("container_effective_memory_limit_bytes", settled=True),
    Figure("container_effective_memory_high_bytes", settled=True),
    Figure("container_effective_threads_max", settled=True),
    Figure("container_cpu_usage_seconds_total", (("cpu", "total"),)),
    Figure("container_cpu_cfs_periods_total"),
    Figure("container_cpu_cfs_throttled_periods_total"),
    Figure("container_memory_usage_bytes"),
    Figure("container_memory_working_set_bytes"),
    Figure("container_memory_rss"),
    Figure("container_memory_cache"),
    Figure("container_memory_events_total", (("event", "oom_kill"),)),
    Figure("container_threads"),
    Figure("container_pids_max_events_total"),
    Figure("container_pressure_cpu_waiting_seconds_total"),
    Figure("container_pressure_memory_waiting_seconds_total"),
    Figure("container_pressure_io_waiting_seconds_total"),
    Figure("container_fs_reads_bytes_total"),
    Figure("container_fs_writes_bytes_total"),
    Figure("container_network_receive_bytes_total"),
    Figure("container_network_transmit_bytes_total"),
    Figure("container_frozen"),
)
"""In the order of the API's documentation."""

_FAMILY_OF: Final = {metric.name: family.name for family in FAMILIES.values() for metric in family.metrics}
NEEDED: Final = frozenset({"machine", *(_FAMILY_OF[figure.metric] for figure in FIGURES)})
"""Families that have the figures."""

Column = list[Number | None]


@dataclass(frozen=True, slots=True)
class Table:
    """Who the containers are, and a column per metric in the same order; None is unknown."""

    names: Sequence[Names]
    settled: Mapping[str, Column]
    moving: Mapping[str, Column]
    machine: Mapping[str, Number]


def gather(sheet: Sheet) -> Table:
    """Take the figures out of a sheet; a metric whose family is switched off has no column."""
    of_containers = [part for parts in sheet.parts.values() for part in parts if part.family.of == "container"]
    names = {row[0].text: row[0] for part in of_containers for row in part.rows}
    places = {text: place for place, text in enumerate(names)}
    known = dict(_places(of_containers))
    columns = {figure: _added_up(figure, known[figure.metric], places) for figure in FIGURES if figure.metric in known}
    return Table(
        names=tuple(names.values()),
        settled={figure.metric: column for figure, column in columns.items() if figure.settled},
        moving={figure.metric: column for figure, column in columns.items() if not figure.settled},
        machine=_machine(sheet),
    )


def _places(parts: Collection[Part]) -> Iterator[tuple[str, list[tuple[Part, int]]]]:
    """Yield each metric with the parts and columns that have its values."""
    found: dict[str, list[tuple[Part, int]]] = {}
    for part in parts:
        for index, column in enumerate(part.group.columns):
            found.setdefault(column.metric.name, []).append((part, index))
    yield from found.items()


def _added_up(figure: Figure, where: list[tuple[Part, int]], places: Mapping[str, int]) -> Column:
    """Add up the samples of each container; one that has none stays unknown."""
    made: Column = [None] * len(places)
    for part, index in where:
        column = part.group.columns[index]
        constant = dict(column.constant)
        for names, labels, row in part.rows:
            own: Mapping[str, Any] = constant | dict(zip(part.group.labels, labels, strict=True))
            if any(own.get(name) != value for name, value in figure.where):
                continue
            value = row[index]
            if value is not None:
                place = places[names.text]
                made[place] = value + (made[place] or 0)
    return made


def _machine(sheet: Sheet) -> dict[str, Number]:
    """Take what is known of the machine itself."""
    return {
        column.metric.name: value
        for part in sheet.parts.get("machine", ())
        for index, column in enumerate(part.group.columns)
        for _names, _labels, row in part.rows
        if (value := row[index]) is not None
    }
