"""When a value deserves attention: two thresholds per column. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

from cgroup_model.record import dataclass
from ctop import values
from ctop.format import Value, clean, percent
from ctop.scene import Entry, Scene

Level = Literal["", "warn", "critical"]

THRESHOLDS: Final = {
    "memory_percent": (80.0, 95.0),
    "cpu_limit": (80.0, 95.0),
    "throttled": (10.0, 25.0),
    "psi_cpu": (20.0, 40.0),
    "psi_memory": (10.0, 40.0),
    "psi_io": (20.0, 40.0),
}
"""Column -> from where on it is a warning, and critical; percent."""

_PIDS_SHARES: Final = (0.8, 0.95)


@dataclass(frozen=True, slots=True)
class Alarm:
    """One value beyond its critical threshold."""

    path: str
    text: str


def level(column: str, value: Value, entry: Entry) -> Level:
    """How much attention a value deserves."""
    if column == "pids":
        limit = values.pids_limit(entry)
        return _step(value / limit, _PIDS_SHARES) if isinstance(value, int) and isinstance(limit, int) and limit else ""
    if column == "oom":
        recent = entry.rates.oom_kills if entry.rates is not None else None
        return "critical" if recent else "warn" if value else ""
    if column in THRESHOLDS and isinstance(value, int | float):
        return _step(value, THRESHOLDS[column])
    return ""


def _step(value: float, steps: tuple[float, float]) -> Level:
    return "critical" if value >= steps[1] else "warn" if value >= steps[0] else ""


def alarms(scene: Scene) -> Iterator[Alarm]:
    """Yield what is critical among the cgroups that were looked at, by path."""
    looked_at = (entry for entry in scene.entries.values() if entry.moment is not None)
    for entry in sorted(looked_at, key=lambda entry: entry.path):
        name = values.title(entry)
        if entry.rates is not None and entry.rates.oom_kills:
            yield Alarm(entry.path, f"{name}: {entry.rates.oom_kills} killed for lack of memory")
        for label, column, value in _watched(entry):
            if level(column, value, entry) == "critical" and isinstance(value, int | float):
                shown = percent(value) + " %" if column != "pids" else str(value)
                yield Alarm(entry.path, clean(f"{name}: {label} {shown}"))


def _watched(entry: Entry) -> Iterator[tuple[str, str, Value]]:
    rates = entry.rates
    throttled = None if rates is None or rates.throttled_ratio is None else 100 * rates.throttled_ratio
    yield "memory", "memory_percent", values.memory_percent(entry)
    yield "throttled", "throttled", throttled
    yield "pids", "pids", values.pids_current(entry)
    yield "stalled on memory", "psi_memory", values.pressure("memory")(entry)
