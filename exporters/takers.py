"""How families take their values out of containers, one container after the other.

Most containers say the same as at the last scrape in most files. What a family made of the same parts of a snapshot is
not made again: every file is read all the same, but one that did not change costs a comparison.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from cgroup_model.snapshot import Snapshot
from exporters.labels import Names
from exporters.metric import Family
from exporters.sheet import Part, Row
from exporters.status import Outcome
from exporters.subject import Subject

log = logging.getLogger(__name__)

Placed = list[tuple[list[Row], Row]]
"""Rows, each with the list that it belongs to."""

_Step = tuple[int, Callable[[Any], Any], Callable[[Any], tuple[Any, ...]]]
"""Number of the part, what selects its records, what takes the values out of one: attributes, looked up once."""


@dataclass(frozen=True, slots=True)
class _Taken:
    """What a family took of a container, and of which parts of its snapshot. ``rows`` have the number of their part."""

    names: Names
    said: tuple[Any, ...]
    rows: list[tuple[int, Row]]
    size: int  # values


_Known = dict[str, _Taken]  # by the family's name


@dataclass(frozen=True, slots=True)
class Taker:
    """One family in one scrape."""

    name: str
    departed: bool  # tells of cgroups that are gone, too
    outcome: Outcome
    places: tuple[list[Row], ...]
    plain: tuple[_Step, ...]
    labelled: tuple[_Step, ...]
    said: Callable[[Snapshot], tuple[Any, ...]] | None  # the parts of a snapshot that all its values are made of

    @classmethod
    def of(cls, parts: list[Part], outcome: Outcome) -> Taker:
        """Prepare the steps."""
        steps = [(bool(part.group.labels), number, part.group) for number, part in enumerate(parts)]
        plain, labelled = (
            tuple((number, group.select, group.values) for has_labels, number, group in steps if has_labels is wanted)
            for wanted in (False, True)
        )
        family = parts[0].family
        places = tuple(part.rows for part in parts)
        return cls(family.name, family.departed, outcome, places, plain, labelled, _said(family))

    def take(self, subject: Subject, known: _Known, failed: Callable[[str, Outcome, Exception], None]) -> _Taken:
        """Take all values of a container, or give what was taken of the same. What fails ends the family's part."""
        said = self.said(subject.snapshot) if self.said is not None else ()
        before = known.get(self.name)
        if before is not None and before.names is subject.names and before.said == said:
            return before
        rows: list[tuple[int, Row]] = []
        try:
            self._fill(rows, subject)
        except Exception as error:  # noqa: BLE001 - one family's fault must not cost the page
            known.pop(self.name, None)
            failed(self.name, self.outcome, error)
            said = ()
        size = sum([len(row[2]) - row[2].count(None) for _number, row in rows])
        taken = _Taken(subject.names, said, rows, size)
        if said:
            known[self.name] = taken
        return taken

    def _fill(self, rows: list[tuple[int, Row]], subject: Subject) -> None:
        names = subject.names
        for number, select, values in self.plain:
            record = select(subject)
            if record is not None:
                rows.append((number, (names, (), values(record))))
        for number, select, values in self.labelled:
            for labels, record in select(subject):
                rows.append((number, (names, labels, values(record))))


class Takers:
    """All families of a scrape. One for all scrapes: it remembers what was taken of each container."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], _Known] = {}
        self._logged: set[tuple[str, str]] = set()

    def take(self, takers: list[Taker], subject: Subject) -> tuple[Placed, int]:
        """Let every family take its values of one container; also gives their number."""
        placed: Placed = []
        size = 0
        known = {} if subject.departed else self._known.setdefault((subject.cgroup.path, subject.cgroup.inode), {})
        then = time.perf_counter()
        for taker in takers:
            if subject.departed and not taker.departed:
                continue
            taken = taker.take(subject, known, self.failed)
            places = taker.places
            placed += [(places[number], row) for number, row in taken.rows]
            size += taken.size
            now = time.perf_counter()
            taker.outcome.duration_seconds += now - then
            then = now
        return placed, size

    def failed(self, name: str, outcome: Outcome, error: Exception) -> None:
        """Count a failure of a family, and log it once."""
        outcome.failures += 1
        reason = (name, type(error).__name__)
        if reason not in self._logged:
            self._logged.add(reason)
            log.error("collector %s failed; its values are missing (said once)", name, exc_info=error)

    def keep_only(self, alive: Collection[tuple[str, int]]) -> None:
        """Forget all cgroups but these (path, inode)."""
        for key in self._known.keys() - alive:
            del self._known[key]


def _said(family: Family) -> Callable[[Snapshot], tuple[Any, ...]] | None:
    if not family.parts:
        return None
    one: Callable[[Snapshot], Any] = attrgetter(*family.parts)
    # attrgetter gives a bare value for one name and a tuple for several.
    return one if len(family.parts) > 1 else lambda snapshot: (one(snapshot),)
