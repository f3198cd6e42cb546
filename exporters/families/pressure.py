"""Pressure stall information: time in which tasks had to wait for a resource.

Kernel: kernel/sched/psi.c; Documentation/accounting/psi.rst. ``waiting`` is PSI's "some", ``stalled`` its "full".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from cgroup_model.snapshot import Need, Pressure, PressureLine
from exporters.metric import Column, Family, Group, counter, gauge, ratio, seconds
from exporters.subject import Subject

Resource = Literal["cpu", "memory", "io", "irq"]
Line = Literal["some", "full"]

RESOURCES: tuple[Resource, ...] = ("cpu", "memory", "io", "irq")
LINES: dict[Line, tuple[str, str]] = {
    "some": ("waiting", "Time in which at least one task waited for {}."),
    "full": ("stalled", "Time in which all tasks that had work waited for {}."),
}
WINDOWS = {"10s": "avg10", "60s": "avg60", "300s": "avg300"}


def of_container(subject: Subject) -> Pressure | None:
    """Select a container's pressure."""
    return subject.snapshot.pressure


def line_of(pressure_of: Callable[..., Pressure | None], resource: Resource, line: Line) -> Callable[..., object]:
    """Make a selection of one line of one resource's file."""

    def select(subject: object) -> PressureLine | None:
        pressure = pressure_of(subject)
        found = getattr(pressure, resource) if pressure is not None else None
        value: PressureLine | None = getattr(found, line) if found is not None else None
        return value

    return select


def groups(
    prefix: str, pressure_of: Callable[..., Pressure | None], *, averages: bool, origin: str = ""
) -> tuple[Group, ...]:
    """Declare a group per resource and line; with ``averages`` the kernel's own averages instead of totals."""
    return tuple(
        Group(
            Pressure,
            line_of(pressure_of, resource, line),
            (_averages if averages else _total)(prefix, resource, *words),
            origin=origin,
        )
        for resource in RESOURCES
        for line, words in LINES.items()
    )


def _total(prefix: str, resource: Resource, word: str, text: str) -> tuple[Column, ...]:
    name = f"{prefix}_pressure_{resource}_{word}_seconds_total"
    return (counter(name, text.format(resource), "total_usec", seconds, fields=(resource,)),)


def _averages(prefix: str, resource: Resource, word: str, text: str) -> tuple[Column, ...]:
    name = f"{prefix}_pressure_{resource}_{word}_ratio"
    help_text = f"Share of {text.format(resource)[0].lower()}{text.format(resource)[1:-1]}, averaged by the kernel."
    return tuple(
        gauge(name, help_text, path, ratio, fields=(resource,), window=window) for window, path in WINDOWS.items()
    )


FAMILIES = (
    Family(
        "pressure",
        "Pressure stall information, totals",
        groups("container", of_container, averages=False),
        needs=Need.PRESSURE,
        parts=("pressure",),
    ),
    Family(
        "pressure_averages",
        "Pressure stall information, the kernel's averages",
        groups("container", of_container, averages=True),
        needs=Need.PRESSURE,
        default=False,
        why_off="up to 24 series per container that rate() of the totals gives as well",
        parts=("pressure",),
    ),
)
