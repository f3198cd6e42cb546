"""Scenes that were, by position: remembered while ctop runs, or replayed from a recording."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from typing import Final, Protocol

from ctop.scene import Scene

_MOST_REMEMBERED: Final = 1500  # whole looks at a cgroup, 4 KiB each


class Past(Protocol):
    """What can be stepped through."""

    def __len__(self) -> int:
        """How many scenes there are."""

    def scene(self, position: int) -> Scene:
        """The scene at a position, 0 the oldest."""

    def at(self, seconds: float) -> int:
        """Position of the last scene at or before a time (seconds since the epoch), else 0."""

    def next_oom(self, after: int) -> int | None:
        """Position of the next scene in whose interval somebody was killed for lack of memory."""


class Remembered:
    """The last scenes of this run, as many as a few MiB hold."""

    def __init__(self) -> None:
        self._scenes: deque[Scene] = deque()
        self._looks = 0

    def __len__(self) -> int:
        """How many scenes are remembered."""
        return len(self._scenes)

    def add(self, scene: Scene) -> None:
        """Remember a scene; the oldest make room."""
        self._scenes.append(scene)
        self._looks += _looks(scene)
        while len(self._scenes) > 1 and self._looks > _MOST_REMEMBERED:
            self._looks -= _looks(self._scenes.popleft())

    def scene(self, position: int) -> Scene:
        """See `Past`."""
        return self._scenes[position]

    def at(self, seconds: float) -> int:
        """See `Past`."""
        return max(0, bisect_right(self._scenes, seconds, key=lambda scene: scene.taken_at) - 1)

    def next_oom(self, after: int) -> int | None:
        """See `Past`."""
        return next((index for index in range(after + 1, len(self._scenes)) if has_oom(self._scenes[index])), None)


def has_oom(scene: Scene) -> bool:
    """Tell whether somebody was killed for lack of memory in the interval before this scene."""
    return any(entry.rates is not None and entry.rates.oom_kills for entry in scene.entries.values())


def _looks(scene: Scene) -> int:
    """What a scene costs to keep, in whole looks: an entry that was only surveyed is a fortieth, and mostly shared."""
    whole = sum(entry.moment is not None for entry in scene.entries.values())
    return 1 + whole + len(scene.entries) // 40
