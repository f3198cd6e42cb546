"""How families take their values out of containers, one container after the other.

Most containers say the same as at the last scrape in most files. What a family made of the same parts of a snapshot is
not made again: every file is read all the same, but one that did not change costs a comparison.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import field
from typing import Any, Final

from cgroup_model.record import dataclass
from exporters.labels import Names
from exporters.metric import Group, attributes
from exporters.sheet import Part, Row
from exporters.status import Outcome
from exporters.subject import Subject

_MOST_SHARED: Final = 1024  # tuples of numbers

log = logging.getLogger(__name__)

_Step = tuple[int, Callable[[Any], Any], Callable[[Any], tuple[Any, ...]]]
"""Number of the part, what selects its records, what takes the values out of one: attributes, looked up once."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What was taken of a container, and of which parts of its snapshot; ``numbers`` tell the parts of the rows."""

    said: tuple[Any, ...]
    numbers: Sequence[int]
    rows: Sequence[Row]
    size: int  # values


_NOTHING: Final = Taken((), (), (), 0)


@dataclass(frozen=True, slots=True)
class Taker:
    """One family in one scrape, as far as its values last, or the rest of it. ``first`` numbers its parts."""

    name: str
    departed: bool  # tells of cgroups that are gone, too
    outcome: Outcome
    first: int
    plain: tuple[_Step, ...]
    labelled: tuple[_Step, ...]
    parts: tuple[str, ...]  # of a snapshot, that all its values are made of

    @classmethod
    def of(cls, parts: list[Part], outcome: Outcome, first: int, *, lasting: bool) -> Taker | None:
        """Prepare the steps; None if there are none."""
        family = parts[0].family
        steps = [
            (number, part.group)
            for number, part in enumerate(parts)
            if (part.group.lasting and family.parts is not None) is lasting
        ]
        plain = _steps(one for one in steps if not one[1].labels)
        labelled = _steps(one for one in steps if one[1].labels)
        return cls(family.name, family.departed, outcome, first, plain, labelled, family.parts or ()) if steps else None

    def take(self, subject: Subject, first: int, numbers: list[int], rows: list[Row]) -> None:
        """Take all values of a container: append its rows, and the numbers of their parts, which begin at ``first``."""
        names = subject.names
        for number, select, values in self.plain:
            record = select(subject)
            if record is not None:
                numbers.append(first + number)
                rows.append((names, (), values(record)))
        for number, select, values in self.labelled:
            for labels, record in select(subject):
                numbers.append(first + number)
                rows.append((names, labels, values(record)))


def _steps(groups: Iterable[tuple[int, Group]]) -> tuple[_Step, ...]:
    return tuple((number, group.select, group.values) for number, group in groups)


class Crew:
    """All families of one scrape. ``steady`` are those whose values can be remembered."""

    def __init__(self, families: Iterable[tuple[list[Part], Outcome]]) -> None:
        """Number the parts of all of them."""
        self._places: list[list[Row]] = []
        self.steady: list[Taker] = []
        self.others: list[Taker] = []
        for parts, outcome in families:
            for takers, lasting in ((self.steady, True), (self.others, False)):
                if (taker := Taker.of(parts, outcome, len(self._places), lasting=lasting)) is not None:
                    takers.append(taker)
            self._places += [part.rows for part in parts]
        self.names = tuple(taker.name for taker in self.steady)
        self.said = attributes(dict.fromkeys(part for taker in self.steady for part in taker.parts))
        self.said_of = [attributes(taker.parts) for taker in self.steady]
        self._alike: list[Sequence[Row]] = []  # rows of containers that have them in the same parts
        self._numbers: Sequence[int] = ()

    def place(self, steady: Taken, others: Taken) -> None:
        """Put the rows of a container where they belong; those of the steady families wait for `done`."""
        if steady.numbers is not self._numbers:
            self.done()
            self._numbers = steady.numbers
        self._alike.append(steady.rows)
        for number, row in zip(others.numbers, others.rows, strict=True):
            self._places[number].append(row)

    def done(self) -> None:
        """Put down the rows that wait, part by part."""
        for number, rows in zip(self._numbers, zip(*self._alike, strict=True), strict=True):
            self._places[number] += rows
        self._numbers, self._alike = (), []


@dataclass(slots=True)
class _Known:
    """What is remembered of a container that has these names: of each family, and of all that were asked together."""

    names: Names
    families: dict[str, Taken] = field(default_factory=dict)
    asked: tuple[str, ...] = ()
    together: Taken | None = None


class Takers:
    """What is remembered from one scrape to the next. One for all scrapes."""

    def __init__(self) -> None:
        self._settings: object = None
        self._known: dict[tuple[str, int], _Known] = {}
        self._numbers: dict[tuple[int, ...], tuple[int, ...]] = {}  # nearly all containers have the same
        self._logged: set[tuple[str, str]] = set()

    def begin(self, settings: object) -> None:
        """Begin a scrape; when what holds for all containers is not what it was, nothing is remembered."""
        if settings != self._settings:
            self._settings = settings
            self._known.clear()

    def take(self, crew: Crew, subject: Subject) -> tuple[Taken, Taken]:
        """Let every family take its values of one container: the steady ones, and the others."""
        if subject.departed:
            return _NOTHING, self._asked((one for one in (*crew.steady, *crew.others) if one.departed), subject)
        return self._steady(crew, subject), self._asked(crew.others, subject)

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

    # ---------------------------------------------------------------------------------------- internals

    def _asked(self, takers: Iterable[Taker], subject: Subject) -> Taken:
        """Let families take their values, whatever they had before."""
        numbers: list[int] = []
        rows: list[Row] = []
        then = time.perf_counter()
        for taker in takers:
            self._take(taker, subject, taker.first, numbers, rows)
            now = time.perf_counter()
            taker.outcome.duration_seconds += now - then
            then = now
        return Taken((), numbers, rows, _size(rows))

    def _steady(self, crew: Crew, subject: Subject) -> Taken:
        """Give what the steady families took, without asking any when the snapshot says the same in all their parts."""
        key = (subject.cgroup.path, subject.cgroup.inode)
        known = self._known.get(key)
        if known is None or known.names is not subject.names:
            known = self._known[key] = _Known(subject.names)
        said = crew.said(subject.snapshot)
        together = known.together
        if together is not None and together.said == said and known.asked == crew.names:
            return together
        numbers: list[int] = []
        rows: list[Row] = []
        size, failures = 0, 0
        for taker, said_of in zip(crew.steady, crew.said_of, strict=True):
            part = said_of(subject.snapshot)
            taken = known.families.get(taker.name)
            if taken is None or taken.said != part:
                before = taker.outcome.failures
                taken = known.families[taker.name] = self._taken(taker, part, subject)
                if taker.outcome.failures != before:
                    failures += 1
                    del known.families[taker.name]
            numbers += [taker.first + number for number in taken.numbers]
            rows += taken.rows
            size += taken.size
        together = Taken(said, self._shared(numbers), tuple(rows), size)
        known.asked, known.together = crew.names, None if failures else together
        return together

    def _taken(self, taker: Taker, said: tuple[Any, ...], subject: Subject) -> Taken:
        """Let one family take its values, to be remembered."""
        numbers: list[int] = []
        rows: list[Row] = []
        began = time.perf_counter()
        self._take(taker, subject, 0, numbers, rows)
        taker.outcome.duration_seconds += time.perf_counter() - began
        return Taken(said, self._shared(numbers), tuple(rows), _size(rows))

    def _take(self, taker: Taker, subject: Subject, first: int, numbers: list[int], rows: list[Row]) -> None:
        """Let one family take its values; what it had before it failed is good."""
        try:
            taker.take(subject, first, numbers, rows)
        except Exception as error:  # noqa: BLE001 - one family's fault must not cost the page
            self.failed(taker.name, taker.outcome, error)

    def _shared(self, numbers: list[int]) -> tuple[int, ...]:
        if len(self._numbers) > _MOST_SHARED:
            self._numbers.clear()
        key = tuple(numbers)
        return self._numbers.setdefault(key, key)


def _size(rows: Iterable[Row]) -> int:
    return sum([len(row[2]) - row[2].count(None) for row in rows])
