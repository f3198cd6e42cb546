"""What was not there, and what was: listings and misses of a short while ago."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

_MOST_DIRECTORIES: Final = 8192  # of cgroups that came and went


class Absent:
    """Names that were not found and lists of names, good for ``seconds``. Not for use by several threads at once."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._missing: dict[str, dict[str, float]] = {}
        self._listed: dict[str, tuple[float, tuple[str, ...]]] = {}

    def until(self, directory: str, name: str) -> float:
        """Tell until when, by the clock, a name need not be looked for; the past where nothing is known."""
        found = self._missing.get(directory)
        return found[name] + self._seconds if found is not None and name in found else float("-inf")

    def has(self, directory: str, name: str) -> bool:
        """Tell whether a name was found missing a short while ago."""
        found = self._missing.get(directory)
        return found is not None and name in found and self._clock() - found[name] < self._seconds

    def note(self, directory: str, name: str) -> None:
        """Remember that a name is not there."""
        if len(self._missing) > _MOST_DIRECTORIES:
            self._missing.clear()
        self._missing.setdefault(directory, {})[name] = self._clock()

    def names(self, directory: str) -> tuple[str, ...] | None:
        """Give the list of a short while ago."""
        listed = self._listed.get(directory)
        return listed[1] if listed is not None and self._clock() - listed[0] < self._seconds else None

    def note_names(self, directory: str, names: tuple[str, ...]) -> None:
        """Remember a list that was made just now."""
        if len(self._listed) >= _MOST_DIRECTORIES:
            self._listed.clear()
        self._listed[directory] = (self._clock(), names)

    def forget(self, directory: str) -> None:
        """Forget a directory."""
        self._missing.pop(directory, None)
        self._listed.pop(directory, None)

    def clear(self) -> None:
        """Forget everything."""
        self._missing.clear()
        self._listed.clear()
