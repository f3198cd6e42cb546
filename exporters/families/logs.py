"""Lines of the kernel's log and of containers' logs that match patterns. See docs/alerts.md."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from exporters.alerts.patterns import Matches
from exporters.labels import clean
from exporters.metric import Family, Group, LabelValues, counter, gauge
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


def _groups(prefix: str, whose: str, of: Callable[[Any], Iterable[Matches]], origin: str) -> tuple[Group, ...]:
    """Declare what is told of the patterns of one log; ``of`` gives their matches of a subject."""
    return (
        Group(
            Matches,
            lambda subject: _rows(of(subject)),
            (
                counter(f"{prefix}_matches_total", f"Lines of {whose} log that matched.", "count", labels=_LABELS),
                gauge(
                    f"{prefix}_last_alert_time_seconds",
                    "When a pattern last matched as often as it was told to wait for, seconds of the epoch.",
                    "due_epoch",
                    labels=_LABELS,
                ),
            ),
            labels=_LABELS,
            origin=origin,
        ),
        Group(
            _Is,
            lambda subject: _lines(of(subject)),
            (gauge(f"{prefix}_last_line_info", "1; the last line that matched.", "one", labels=_LINE),),
            labels=_LINE,
            origin=origin,
        ),
    )


_SKIPPED = counter(
    "container_log_skipped_bytes_total",
    "What was written faster than it is read: 1 MiB per look.",
    "skipped_bytes",
)
_ENGINES_FILES = "the engine's log files"

FAMILIES = (
    Family(
        "kernel_log",
        "Patterns of the kernel's log, as configured under alerts",
        _groups("machine_kernel_log", "the kernel's", _kernel, "/dev/kmsg"),
        of="machine",
    ),
    Family(
        "container_logs",
        "Patterns of containers' logs, as configured under alerts",
        (
            *_groups("container_log", "the container's", _container, _ENGINES_FILES),
            Group(Watched, _watched, (_SKIPPED,), origin=_ENGINES_FILES),
        ),
        when=lambda world: world.alerts is not None and world.alerts.container_logs is not None,
    ),
)
