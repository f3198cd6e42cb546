"""Where in time we are: now, or at a position of what is remembered or was recorded; graphs and kills up to there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ctop.ooms import Kills
from ctop.past import Past
from ctop.remembered import Remembered
from ctop.scene import Entry, Scene
from ctop.trails import Trails

_GRAPHED: Final = 150  # scenes that a graph in the past goes back


class Timeline:
    """Scenes in order. ``at`` is the position of the one that is shown; None: now."""

    def __init__(self, recorded: Past | None = None) -> None:
        """``recorded`` is given for a replay: then time is a position in it, and there is no now."""
        self.recorded = recorded
        self.at: int | None = None
        self._remembered = Remembered()
        self._kills = Kills()
        self._trails = Trails()
        self._past_trails: tuple[int, str, Trails] | None = None  # up to which position, of which cgroup

    @property
    def past(self) -> Past:
        """What can be stepped through."""
        return self._remembered if self.recorded is None else self.recorded

    @property
    def is_now(self) -> bool:
        """True when what is shown is this machine as it is, not its past."""
        return self.at is None and self.recorded is None

    @property
    def shown(self) -> int:
        """Position of the scene that is shown; now is the last."""
        return len(self.past) - 1 if self.at is None else self.at

    @property
    def position(self) -> tuple[int, int]:
        """Which scene of the past is shown (counted from 1), and how many there are."""
        count = len(self.past)
        return (count if self.at is None else self.at + 1), count

    def add(self, scene: Scene, seen: Iterable[str]) -> None:
        """Take in a scene of now; of the cgroups that are seen, graphs are kept."""
        self._trails.add(scene, seen)
        self._kills.add(scene)
        self._remembered.add(scene)

    def next(self) -> Scene | None:
        """The next scene of a recording, from now on the one that is shown; None at its end."""
        position = 0 if self.at is None else self.at + 1
        return None if position >= len(self.past) else self.go_to(position)

    def go_to(self, position: int) -> Scene:
        """The scene at this position or at the nearest end, from now on the one that is shown."""
        self.at = max(0, min(position, len(self.past) - 1))
        return self.past.scene(self.at)

    def next_oom(self) -> int | None:
        """Position of the next kill for lack of memory, from the end again from the start; None: there is none."""
        found = self.past.next_oom(self.shown)
        return self.past.next_oom(-1) if found is None else found

    def trail(self, path: str, series: str) -> list[float | None]:
        """What a graph of one cgroup is drawn from, up to the scene that is shown."""
        if self.at is None:
            return self._trails.of(path, series)
        if self._past_trails is None or self._past_trails[:2] != (self.at, path):
            trails = Trails()
            for position in range(max(0, self.at + 1 - _GRAPHED), self.at + 1):
                trails.add(self.past.scene(position), [path])
            self._past_trails = (self.at, path, trails)
        return self._past_trails[2].of(path, series)

    def kills(self, entry: Entry, until: float) -> list[tuple[float, int]]:
        """When how many of a cgroup were killed for lack of memory, up to a time (seconds since the epoch)."""
        kills = self._kills if self.recorded is None else Kills.until(self.recorded, self.shown)
        return [(epoch, count) for epoch, count in kills.of(entry.path, entry.inode) if epoch <= until]
