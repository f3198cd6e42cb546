"""The last scenes of this run, packed: a look at a busy screen is 200 KiB as it is, and 15 as it is kept here."""

from __future__ import annotations

import pickle
import zlib
from bisect import bisect_right
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from cgroup_model.engines import Identity
from cgroup_model.record import dataclass
from ctop.past import has_oom
from ctop.scene import Entry, Scene

_MOST_BYTES: Final = 4 << 20
_SCENE_BYTES: Final = 2048  # the machine, and the objects that hold it all together
_ENTRY_BYTES: Final = 64  # of an entry that differs from the base's, beside what is packed
_BASE_BYTES: Final = 100  # an entry of a base: its place in a dict, and perhaps itself
_LONGEST_BASE: Final = 64  # scenes
_ZLIB_LEVEL: Final = 1


@dataclass(frozen=True, slots=True)
class _Packed:
    """One scene: what differs from a base, which it shares with its neighbours."""

    frame: Scene  # without entries
    base: Mapping[str, Entry]  # by path: entries that only the survey looked at
    gone: tuple[str, ...]  # of the base
    known: tuple[tuple[str, int, Identity], ...]  # path, inode and identity of what differs
    data: bytes  # the rest of these, pickled and deflated: they never leave this process
    has_oom: bool
    cost: int  # bytes, about

    def scene(self) -> Scene:
        """Unpack."""
        entries = dict(self.base)
        for path in self.gone:
            del entries[path]
        rest = pickle.loads(zlib.decompress(self.data))  # noqa: S301 - our own
        for (path, inode, identity), values in zip(self.known, rest, strict=True):
            entries[path] = Entry(path, inode, identity, *values)
        return replace(self.frame, entries=entries)


class Remembered:
    """A `Past` of as many scenes as a few MiB hold."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._scenes: deque[_Packed] = deque()
        self._bytes = 0
        self._base: dict[str, Entry] = {}
        self._based = 0  # scenes on this base

    def __len__(self) -> int:
        """How many scenes are remembered."""
        return len(self._scenes)

    def add(self, scene: Scene) -> None:
        """Remember a scene; the oldest make room."""
        packed = self._packed(scene)
        self._scenes.append(packed)
        self._bytes += packed.cost
        while len(self._scenes) > 1 and self._bytes > self._most_bytes:
            self._bytes -= self._scenes.popleft().cost

    def scene(self, position: int) -> Scene:
        """See `Past`."""
        return self._scenes[position].scene()

    def at(self, seconds: float) -> int:
        """See `Past`."""
        return max(0, bisect_right(self._scenes, seconds, key=lambda one: one.frame.taken_at) - 1)

    def next_oom(self, after: int) -> int | None:
        """See `Past`."""
        return next((index for index in range(after + 1, len(self._scenes)) if self._scenes[index].has_oom), None)

    def _packed(self, scene: Scene) -> _Packed:
        base_cost = 0
        others = self._others(scene)
        looked_at = sum(entry.moment is not None for entry in others)
        if self._based >= _LONGEST_BASE or len(others) - looked_at > len(scene.entries) // 8:
            self._base = {path: entry for path, entry in scene.entries.items() if entry.moment is None}
            self._based = 0
            base_cost = _BASE_BYTES * len(self._base)
            others = self._others(scene)
        self._based += 1
        gone = tuple(self._base.keys() - scene.entries.keys())
        rest = [(one.brief, one.moment, one.rates, one.cpus, one.memory_total, one.is_new) for one in others]
        data = zlib.compress(pickle.dumps(rest, pickle.HIGHEST_PROTOCOL), _ZLIB_LEVEL)
        return _Packed(
            frame=replace(scene, entries={}),
            base=self._base,
            gone=gone,
            known=tuple([(one.path, one.inode, one.identity) for one in others]),
            data=data,
            has_oom=has_oom(scene),
            cost=_SCENE_BYTES + len(data) + _ENTRY_BYTES * (len(others) + len(gone)) + base_cost,
        )

    def _others(self, scene: Scene) -> list[Entry]:
        """What differs from the base."""
        base = self._base
        return [entry for path, entry in scene.entries.items() if base.get(path) is not entry]
