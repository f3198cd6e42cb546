"""What Docker's health checks say, as cAdvisor writes it: metrics/prometheus.go, getContainerHealthState."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cgroup_model.engines import NO_CHECK
from exporters.metric import Family, Group, gauge
from exporters.subject import Subject

_STATES: Final[Mapping[str, int]] = {"healthy": 1, NO_CHECK: -1}
_NOT_HEALTHY: Final = 0


@dataclass(frozen=True, slots=True)
class _Health:
    """The state of a container."""

    state: int


def _health(subject: Subject) -> _Health | None:
    resolver = subject.world.resolver
    told = resolver.health(subject.cgroup.path, subject.cgroup.inode) if resolver is not None else None
    return None if told is None else _Health(_STATES.get(told, _NOT_HEALTHY))


FAMILIES = (
    Family(
        "health",
        "Docker's health checks",
        (
            Group(
                _Health,
                _health,
                (
                    gauge(
                        "container_health_state",
                        "1: healthy; 0: starting or unhealthy; -1: the container has no health check.",
                        "state",
                    ),
                ),
                origin="the engine's files (Docker's config.v2.json)",
            ),
        ),
        default=False,
        why_off="a file of the engine is read and parsed for each container",
    ),
)
