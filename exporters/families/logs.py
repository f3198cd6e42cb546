"""Lines of the kernel's log and of containers' logs that match patterns. See docs/alerts.md."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from exporters.alerts.patterns import Matches
from exporters.labels import clean
from exporters.metric import Column, Family, Group, LabelValues, counter, gauge
from exporters.readers.container_logs import Watched
from exporters.subject import Machine, Subject

_LABELS = ("pattern", "level")
_LINE = (*_LABELS, "line")


class _Is:
    """The record of a series that only says that something is so."""

    one = 1


_IS = _Is()


def _rows(matches: Iterable[Matches]) -> Iterator[tuple[LabelValues, Matches]]:
    for one in matches:
        yield (one.pattern.name, one.pattern.level), one


def _lines(matches: Iterable[Matches]) -> Iterator[tuple[LabelValues, _Is]]:
    for one in matches:
        if one.last_line:
            yield (one.pattern.name, one.pattern.level, clean(one.last_line)), _IS


def _kernel(machine: Machine) -> Iterable[Matches]:
    board = machine.world.alerts
    return board.kernel_log.read() if board is not None and board.kernel_log is not None else ()


def _watched(subject: Subject) -> Watched | None:
    board = subject.world.alerts
    if board is None or board.container_logs is None or subject.is_root:
        return None
    return board.container_logs.read(subject.cgroup, subject.identity, subject.names)


def _container(subject: Subject) -> Iterable[Matches]:
    watched = _watched(subject)
    return watched.matches if watched is not None else ()


def _columns(prefix: str, whose: str) -> tuple[Column, ...]:
    return (
        counter(f"{prefix}_matches_total", f"Lines of {whose} log that matched.", "count", labels=_LABELS),
        gauge(
            f"{prefix}_last_alert_time_seconds",
            "When a pattern last matched as often as it was told to wait for, seconds of the epoch.",
            "due_epoch",
            labels=_LABELS,
        ),
    )


FAMILIES = (
    Family(
        "kernel_log",
        "Patterns of the kernel's log, as configured under alerts",
        (
            Group(
                Matches,
                lambda machine: _rows(_kernel(machine)),
                _columns("machine_kernel_log", "the kernel's"),
                labels=_LABELS,
                origin="/dev/kmsg",
            ),
            Group(
                _Is,
                lambda machine: _lines(_kernel(machine)),
                (gauge("machine_kernel_log_last_line_info", "1; the last line that matched.", "one", labels=_LINE),),
                labels=_LINE,
                origin="/dev/kmsg",
            ),
        ),
        of="machine",
    ),
    Family(
        "container_logs",
        "Patterns of containers' logs, as configured under alerts",
        (
            Group(
                Matches,
                lambda subject: _rows(_container(subject)),
                _columns("container_log", "the container's"),
                labels=_LABELS,
                origin="the engine's log files",
            ),
            Group(
                _Is,
                lambda subject: _lines(_container(subject)),
                (gauge("container_log_last_line_info", "1; the last line that matched.", "one", labels=_LINE),),
                labels=_LINE,
                origin="the engine's log files",
            ),
            Group(
                Watched,
                _watched,
                (
                    counter(
                        "container_log_skipped_bytes_total",
                        "What was written faster than it is read: 1 MiB per look.",
                        "skipped_bytes",
                    ),
                ),
                origin="the engine's log files",
            ),
        ),
    ),
)
