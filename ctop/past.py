"""Scenes that were, by position: remembered while ctop runs, or replayed from a recording."""

from __future__ import annotations

from typing import Protocol

from ctop.scene import Scene


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


def has_oom(scene: Scene) -> bool:
    """Tell whether somebody was killed for lack of memory in the interval before this scene."""
    return any(entry.rates is not None and entry.rates.oom_kills for entry in scene.entries.values())
