"""How metrics are declared: one row per metric, that says what it is called and where its value is in which record.

The catalogue, its documentation, the page and the prometheus-client collector are all made from these rows, so they
cannot drift apart. A `Family` is a subject that can be switched off as a whole; its groups select a record from each
container (or once, from the machine), and each `Column` takes one value out of that record.

Unknown (None) is absent from the page. `UNLIMITED` is 0 where cAdvisor's users expect it (`limit`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Final, Literal

from cgroup_model.snapshot import UNLIMITED, Need, UnlimitedType

Number = int | float
Type = Literal["counter", "gauge", "untyped"]
LabelValues = tuple[str, ...]
Convert = Callable[[Any], Number | None]
"""Value of a record's field -> value on the page; None: absent. Never called with None."""

_UNITS: Final = ("bytes", "seconds", "ratio", "celsius")


@dataclass(frozen=True, slots=True)
class Metric:
    """Name, type and meaning. ``labels`` are those beside the container's own."""

    name: str
    type: Type
    help: str
    labels: tuple[str, ...] = ()

    @property
    def unit(self) -> str:
        """Prometheus base unit, as the name says; "" for counts."""
        base = self.name.removesuffix("_total")
        return next((unit for unit in _UNITS if base.endswith(f"_{unit}")), "")


@dataclass(frozen=True, slots=True)
class Exemplar:
    """One event behind a counter, for OpenMetrics: at most 128 characters of labels."""

    labels: tuple[tuple[str, str], ...]
    value: Number
    epoch: float | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """One value of a record: where it is (``path``, an attribute of an attribute) and which metric it belongs to.

    ``constant`` are labels with the same value for every container. ``fields`` are the record's fields that the value
    is made of, for documentation. ``exemplar`` is where the record has an `Exemplar` of it, or None.
    """

    metric: Metric
    path: str
    convert: Convert | None = None
    constant: tuple[tuple[str, str], ...] = ()
    fields: tuple[str, ...] = ()
    exemplar: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Columns of one record.

    ``select`` gets a subject (a container or the machine) and gives its record, or None when there is none.
    With ``labels`` it gives pairs of label values and record instead, any number of them. ``origin`` documents where
    the values come from when they are not fields that dialects read. ``lasting``: they are made of nothing but the
    family's ``parts``. ``values`` takes them out of a record, as they are on the page.
    """

    record: type
    select: Callable[[Any], Any]
    columns: tuple[Column, ...]
    labels: tuple[str, ...] = ()
    origin: str = ""
    lasting: bool = True
    values: Callable[[Any], tuple[Any, ...]] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        # Exemplars follow the columns' own values.
        paths = [column.path for column in self.columns] + [one.exemplar for one in self.columns if one.exemplar]
        converts = [(index, column.convert) for index, column in enumerate(self.columns) if column.convert is not None]
        object.__setattr__(self, "values", _taking(attributes(paths), converts))

    def exemplar(self, index: int, row: tuple[Any, ...]) -> Exemplar | None:
        """Find the exemplar of a column in a row."""
        if not self.columns[index].exemplar:
            return None
        found: Exemplar | None = row[len(self.columns) + sum(bool(one.exemplar) for one in self.columns[:index])]
        return found

    def rows(self, subject: object) -> Iterable[tuple[LabelValues, Any]]:
        """Give the records of a subject with their label values."""
        if self.labels:
            found: Iterable[tuple[LabelValues, Any]] = self.select(subject)
            return found
        record = self.select(subject)
        return () if record is None else (((), record),)


@dataclass(frozen=True, slots=True)
class Family:
    """A subject: what it needs of a snapshot, and its groups.

    ``of`` is what the groups select from: each ``container`` or the ``machine``, once per page. ``departed``: it has
    something to say of containers that are gone, too. ``parts``: those fields of a container's snapshot that its values
    are made of, with its identity, its names and what `World.settings` gives; None when they are made of anything else,
    too (the time, readers), as are those of groups that are not ``lasting``. ``when`` tells, once for all containers,
    whether there is anything to say of them, given the `World`.
    """

    name: str
    title: str
    groups: tuple[Group, ...]
    needs: Need = Need.NOTHING
    of: Literal["container", "machine"] = "container"
    default: bool = True
    why_off: str = ""  # why it is not on by default
    departed: bool = False
    parts: tuple[str, ...] | None = None
    when: Callable[[Any], bool] = field(default=lambda _world: True)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Every metric once, in the order of the page."""
        return tuple(dict.fromkeys(column.metric for group in self.groups for column in group.columns))


def attributes(paths: Iterable[str]) -> Callable[[Any], tuple[Any, ...]]:
    """Make what takes attributes out of an object, as `operator.attrgetter` does, but always a tuple."""
    names = tuple(paths)
    if not names:
        return lambda _object: ()
    getter = attrgetter(*names)
    return getter if len(names) > 1 else lambda record: (getter(record),)


def _taking(
    take: Callable[[Any], tuple[Any, ...]], converts: list[tuple[int, Convert]]
) -> Callable[[Any], tuple[Any, ...]]:
    """Make what takes the values of a row out of a record, as they are on the page."""
    if not converts:
        return take

    def converted(record: object) -> tuple[Any, ...]:
        values = list(take(record))
        for index, convert in converts:
            if values[index] is not None:
                values[index] = convert(values[index])
        return tuple(values)

    return converted


# ------------------------------------------------------------------------------------------ declarations


def gauge(name: str, text: str, path: str, convert: Convert | None = None, /, **more: Any) -> Column:  # noqa: ANN401
    """Declare a value that goes up and down; ``more``: see `_column`."""
    return _column("gauge", name, text, path, convert, **more)


def counter(name: str, text: str, path: str, convert: Convert | None = None, /, **more: Any) -> Column:  # noqa: ANN401
    """Declare a value that only grows while the cgroup lives; ``more``: see `_column`."""
    return _column("counter", name, text, path, convert, **more)


def untyped(name: str, text: str, path: str, convert: Convert | None = None, /, **more: Any) -> Column:  # noqa: ANN401
    """Declare a counter whose name lacks ``_total``, for compatibility; OpenMetrics forbids to call it a counter."""
    return _column("untyped", name, text, path, convert, **more)


def _column(  # noqa: PLR0913 - the parts of a row
    kind: Type,
    name: str,
    text: str,
    path: str,
    convert: Convert | None = None,
    /,  # constant labels may have any name
    *,
    labels: tuple[str, ...] = (),
    fields: tuple[str, ...] = (),
    exemplar: str = "",
    **constant: str,
) -> Column:
    """Make a column; ``labels`` are the group's, further keywords are constant labels."""
    metric = Metric(name, kind, text, (*labels, *constant))
    return Column(metric, path, convert, tuple(constant.items()), fields or (path,), exemplar)


# -------------------------------------------------------------------------------------------- conversions


def limit(value: int | UnlimitedType) -> int:
    """Write a limit as cAdvisor does: 0 is no limit."""
    return 0 if value is UNLIMITED else value


def only_limited(value: float | UnlimitedType) -> Number | None:
    """Leave out what is not limited: for values that others divide by."""
    return None if value is UNLIMITED else value


def cpus_limit(value: float | UnlimitedType) -> Number:
    """Write a number of CPUs; 0 is no limit."""
    return 0 if value is UNLIMITED else value


def seconds(usec: int) -> Number:
    """Turn microseconds into Prometheus' base unit; none are a whole number, which takes a fifth as long to write."""
    return usec / 1_000_000 if usec else 0


def ratio(percentage: float) -> float:
    """Turn a percentage into a ratio: 0 to 1."""
    return percentage / 100


def flag(value: bool) -> int:  # noqa: FBT001 - a conversion has one argument
    """Write a yes or no as 1 or 0."""
    return int(value)


def count(values: Iterable[object]) -> int:
    """Count a collection."""
    return sum(1 for _ in values)
