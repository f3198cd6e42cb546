"""What graphs are drawn from: a few numbers per look of each cgroup that was looked at, as packed floats."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable
from typing import Final

from ctop import values
from ctop.format import Value
from ctop.scene import Entry, Scene

_LONGEST: Final = 400  # looks, a column each on a wide screen
_MOST: Final = 200  # cgroups: those in sight, and some that were

SERIES: Final[dict[str, Callable[[Entry], Value]]] = {
    "cpu": values.cpu_cores,
    "memory": values.memory_bytes,
    "read": values.rate(lambda rates: rates.read_bytes),
    "write": values.rate(lambda rates: rates.write_bytes),
    "rx": values.rate(lambda rates: rates.rx_bytes),
    "tx": values.rate(lambda rates: rates.tx_bytes),
    "psi_cpu": values.pressure("cpu"),
    "psi_memory": values.pressure("memory"),
    "psi_io": values.pressure("io"),
    "pids": values.pids_current,
}
"""What is kept, by name."""


class Trails:
    """The recent past of each cgroup; a cgroup that was made again starts afresh."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[int, dict[str, array[float]]]] = {}

    def add(self, scene: Scene, paths: Iterable[str]) -> None:
        """Take in what a scene has of some cgroups; those that are gone are forgotten."""
        for path in self._kept.keys() - scene.entries.keys():
            del self._kept[path]
        for path in paths:
            entry = scene.entries.get(path)
            if entry is not None and entry.moment is not None:
                self._add(path, entry)

    def of(self, path: str, series: str) -> list[float | None]:
        """The values of one series, oldest first."""
        if path not in self._kept:
            return []
        return [None if math.isnan(value) else value for value in self._kept[path][1][series]]

    def _add(self, path: str, entry: Entry) -> None:
        inode, trail = self._kept.get(path, (None, None))
        if trail is None or inode != entry.inode:
            if len(self._kept) >= _MOST:
                del self._kept[next(iter(self._kept))]
            trail = {name: array("f") for name in SERIES}
            self._kept[path] = (entry.inode, trail)
        for name, value_of in SERIES.items():
            value = value_of(entry)
            kept = trail[name]
            kept.append(float(value) if isinstance(value, int | float) else math.nan)
            if len(kept) > _LONGEST:
                del kept[0]
