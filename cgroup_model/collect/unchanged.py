"""Cgroups in which nothing happens: their files are read, and what they say is not worked out again.

Most containers of a machine sleep most of the time. What a snapshot was made of can be read again in half the time that
a snapshot takes (`Source.traced`), and when all of it says the same, so would the snapshot.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, Final

from cgroup_model.collect.look import Look
from cgroup_model.layout import Cgroup, Layout
from cgroup_model.record import dataclass
from cgroup_model.snapshot import Snapshot
from cgroup_model.source import CgroupGone, Source, Trace

Way = tuple[object, ...]
"""What is wanted, and all that decides how it is read beside the cgroup's files and settings."""

_OF_EACH_LOOK: Final = frozenset({"path", "host", "policy", "taken_at"})
_PARTS: Final = tuple(field.name for field in fields(Snapshot) if field.name not in _OF_EACH_LOOK)


@dataclass(frozen=True, slots=True)
class _Before:
    """The last snapshot's parts, and what they were made of."""

    layout: Layout
    way: Way
    trace: Trace
    parts: Mapping[str, Any]


class Unchanged:
    """The last snapshot of each cgroup that may be good for another time."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._before: dict[Cgroup, _Before] = {}
        self._restless: dict[Cgroup, int] = {}  # see `Trace`

    def parts(self, look: Look, way: Way) -> Mapping[str, Any] | None:
        """Read the cgroup's files; return the parts of its last snapshot if another one would have the same."""
        before = self._before.get(look.cgroup)
        if before is None:
            return None
        try:
            if before.layout is look.layout and before.way == way and self._says_the_same(before):
                return before.parts
        except (CgroupGone, OSError):
            pass  # whoever looks closer finds out what is wrong
        del self._before[look.cgroup]
        self._restless[look.cgroup] = before.trace.restless
        return None

    def watched(self, look: Look, way: Way, take: Callable[[], Snapshot]) -> Snapshot:
        """Take a snapshot, and note what it is made of if that can be told.

        It cannot where a part is unknown, which is to be counted each time, where something was taken over from another
        cgroup's look, and where a hierarchy has no directory of this cgroup: there may be one later.
        """
        noted, look.levels.leaned = look.kit.problems.noted, False
        snapshot, trace = self._source.traced(take)
        if (
            trace is not None
            and trace.proves_life
            and look.kit.problems.noted == noted
            and not look.levels.leaned
            and look.cgroup.paths.keys() <= look.layout.directories.keys()
        ):
            parts = {name: part for name in _PARTS if (part := getattr(snapshot, name)) is not None}
            if (restless := self._restless.get(look.cgroup, -1)) < len(trace.descriptors):
                trace.restless = restless
            self._before[look.cgroup] = _Before(look.layout, way, trace, parts)
        return snapshot

    def forget(self, cgroup: Cgroup) -> None:
        """Forget a cgroup that is gone."""
        self._before.pop(cgroup, None)
        self._restless.pop(cgroup, None)

    def _says_the_same(self, before: _Before) -> bool:
        return self._source.unchanged(before.trace, before.layout.directories.values())
