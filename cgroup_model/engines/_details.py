"""What engine files say about a container, taken over with care: strings only, of bounded size and number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from cgroup_model.record import dataclass

MOST_TEXT: Final = 512  # characters of a value
MOST_KEY: Final = 256  # characters of a label's name
MOST_LABELS: Final = 128
_LONGEST_TIME: Final = 40  # "2026-11-21T06:05:48.905462429+02:00" has 35

NO_LABELS: Final[Mapping[str, str]] = MappingProxyType({})


def no_labels() -> Mapping[str, str]:
    """Give `NO_LABELS`: before Python 3.12 dataclasses take a read-only mapping for a mutable default."""
    return NO_LABELS


NO_CHECK: Final = "none"
"""What `Details.health` is of a container without a health check."""

SANDBOX: Final = "POD"
"""What Kubernetes calls the container that only holds a pod's namespaces."""


@dataclass(frozen=True, slots=True)
class Details:
    """What one engine's files say; None where they are silent.

    ``engine`` says whose files they are, when the path could not tell.
    """

    name: str | None = None
    image: str | None = None
    pod: str | None = None
    namespace: str | None = None
    labels: Mapping[str, str] = field(default_factory=no_labels)
    engine: str | None = None
    restarts: int | None = None  # how often the engine itself started it again
    created_epoch: float | None = None  # when the engine made the container, however often it was started since
    ended_epoch: float | None = None  # when it last ended, before it was started again
    health: str | None = None  # what its health check said; NO_CHECK where it has none
    health_until_epoch: float | None = None  # by when an engine that writes what each check says has done so again

    def completed_by(self, other: Details) -> Details:
        """Fill what is unknown here with what ``other`` knows."""
        return Details(
            name=self.name or other.name,
            image=self.image or other.image,
            pod=self.pod or other.pod,
            namespace=self.namespace or other.namespace,
            labels=self.labels or other.labels,
            engine=self.engine or other.engine,
            restarts=other.restarts if self.restarts is None else self.restarts,
            created_epoch=other.created_epoch if self.created_epoch is None else self.created_epoch,
            ended_epoch=other.ended_epoch if self.ended_epoch is None else self.ended_epoch,
            health=self.health or other.health,
            health_until_epoch=self.health_until_epoch if self.health else other.health_until_epoch,
        )


def text(value: Any) -> str | None:  # noqa: ANN401 - that is the question
    """Take a value over if it is a non-empty string; cut to `MOST_TEXT`, and printable as UTF-8."""
    if not isinstance(value, str) or not value:
        return None
    return value[:MOST_TEXT].encode("utf-8", "replace").decode()


def count(value: Any) -> int | None:  # noqa: ANN401
    """Take a value over if it is a number that is not negative."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 53 else None


def epoch(value: Any) -> float | None:  # noqa: ANN401
    """Take a time over, as RFC 3339 has it; Go's zero time, year 1, means never."""
    if not isinstance(value, str) or len(value) > _LONGEST_TIME:
        return None
    try:
        seconds = datetime.fromisoformat(value).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
    return seconds if seconds > 0 else None


def member(document: Any, *keys: str) -> Any:  # noqa: ANN401
    """Follow keys through nested objects; None as soon as something is no object or has no such key."""
    for key in keys:
        if not isinstance(document, Mapping):
            return None
        document = document.get(key)
    return document


def string_labels(value: Any, *, without: tuple[str, ...] = ()) -> Mapping[str, str]:  # noqa: ANN401
    """Take over the pairs of strings of an object, at most `MOST_LABELS`, without keys of certain prefixes."""
    if not isinstance(value, Mapping):
        return NO_LABELS
    labels: dict[str, str] = {}
    for key, content in value.items():
        name = text(key)
        if name and len(key) <= MOST_KEY and isinstance(content, str) and not (without and name.startswith(without)):
            labels[name] = text(content) or ""
        if len(labels) == MOST_LABELS:
            break
    return MappingProxyType(labels)
