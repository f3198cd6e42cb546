"""One series per container that says who it is: to join with metrics of thin labels (``--naming thin``)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from exporters.metric import Family, Group, LabelValues, counter, gauge
from exporters.subject import Subject

_LABELS = ("container_id", "kind", "engine", "image", "container", "pod", "namespace")
_PAIR = ("label", "value")


class _Is:
    """The record of a series that only says that something is so."""

    one = 1


_IS = _Is()


def _info(subject: Subject) -> Iterable[tuple[LabelValues, _Is]]:
    """Give what the labels of all series do not have already; an empty label is absent."""
    if subject.is_root:
        return ()
    others = subject.names.others
    return ((tuple([others.get(name, "") for name in _LABELS]), _IS),)


@dataclass(frozen=True, slots=True)
class _Restarts:
    """How often an engine started a container again."""

    restarts: int


def _restarts(subject: Subject) -> _Restarts | None:
    restarts = subject.identity.restarts
    return None if restarts is None else _Restarts(restarts)


@dataclass(frozen=True, slots=True)
class _Dates:
    """When an engine made a container, and when it last ended; seconds of the epoch."""

    created: float | None
    ended: float | None


def _dates(subject: Subject) -> _Dates:
    return _Dates(subject.identity.created_epoch, subject.identity.ended_epoch)


def _engine_labels(subject: Subject) -> Iterator[tuple[LabelValues, _Is]]:
    for name in subject.world.engine_labels:
        value = subject.identity.labels.get(name)
        if value:
            yield (name, value), _IS


FAMILIES = (
    Family(
        "info",
        "Who each container is",
        (
            Group(
                _Is,
                _info,
                (gauge("container_info", "1; the labels say who the container is.", "one", labels=_LABELS),),
                labels=_LABELS,
                origin="the cgroup's path and the engine's files",
            ),
            Group(
                _Is,
                _engine_labels,
                (gauge("container_label_info", "1; a label that the engine gave it.", "one", labels=_PAIR),),
                labels=_PAIR,
                origin="the engine's files; those chosen with --container-label",
            ),
            Group(
                _Restarts,
                _restarts,
                (
                    counter(
                        "container_restarts_total",
                        "Times the engine's restart policy has started the container again.",
                        "restarts",
                    ),
                ),
                origin="the engine's files (Docker's config.v2.json)",
            ),
            Group(
                _Dates,
                _dates,
                (
                    gauge(
                        "container_creation_time_seconds",
                        "When the engine made the container, however often it was started since; seconds of the epoch.",
                        "created",
                    ),
                    gauge(
                        "container_last_exit_time_seconds",
                        "When it last ended before it was started again; seconds of the epoch. Why, no engine's file "
                        "tells of a container that runs; of OOM see container_oom_last_kill_time_seconds.",
                        "ended",
                    ),
                ),
                origin="the engine's files (Docker's config.v2.json; the first also of Podman and CRI-O)",
            ),
        ),
        departed=True,
        parts=(),
    ),
)
