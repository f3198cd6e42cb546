"""OOM kills as looks saw them."""

from __future__ import annotations

from collections import deque
from typing import Final

from ctop.past import Past
from ctop.scene import Scene

_MOST_KILLS: Final = 1000  # of all cgroups together
_MOST_SCENES: Final = 100  # of a recording


class Kills:
    """Remembers in which looks cgroups had somebody killed."""

    def __init__(self) -> None:
        self._seen: deque[tuple[str, int, float, int]] = deque(maxlen=_MOST_KILLS)

    def add(self, scene: Scene) -> None:
        """Take in a scene."""
        for entry in scene.entries.values():
            if entry.rates is not None and entry.rates.oom_kills:
                self._seen.append((entry.path, entry.inode, scene.taken_at, entry.rates.oom_kills))

    def of(self, path: str, inode: int) -> list[tuple[float, int]]:
        """When how many were killed in one cgroup; the newest last."""
        return [(epoch, kills) for seen, number, epoch, kills in self._seen if (seen, number) == (path, inode)]

    @classmethod
    def until(cls, past: Past, position: int) -> Kills:
        """The kills in a recording up to a position, as far back as a hundred scenes with kills."""
        positions: deque[int] = deque(maxlen=_MOST_SCENES)
        found = past.next_oom(-1)
        while found is not None and found <= position:
            positions.append(found)
            found = past.next_oom(found)
        kills = cls()
        for one in positions:
            kills.add(past.scene(one))
        return kills
