"""Fields of a mapping in a configuration file: each known, of the right kind, given once; errors say where."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from cgscope.quantities import parse_duration, parse_size
from cgscope.suggest import did_you_mean
from cgscope.yamlfile import Value

_Read = TypeVar("_Read")


@dataclass(frozen=True, slots=True)
class Fields:
    """What is known of a mapping. ``whole``: it had nothing else, so that what is missing was left out."""

    place: Value
    found: Mapping[str, Value] = field(default_factory=dict)
    whole: bool = True

    @classmethod
    def of(cls, value: Value, known: Iterable[str], what: str) -> Fields:
        """Take a mapping apart. A key that ``what`` does not have is a mistake."""
        names, noted, found = tuple(known), value.noted, {}
        for key, place, content in value.items():
            with place.forgiving():
                if key not in names:
                    advice = did_you_mean(key, names) or f"there are {', '.join(names)}"
                    raise place.error(f"{what} has no {key!r}; {advice}")
                found[key] = content
        return cls(value, found, whole=value.noted == noted)

    def __contains__(self, key: str) -> bool:
        return key in self.found

    def get(self, key: str, read: Callable[[Value], _Read], default: _Read) -> _Read:
        """Read a field, or give the default. What is wrong with it keeps nobody from reading the others."""
        with self.place.forgiving():
            return read(self.found[key]) if key in self.found else default
        return default

    def need(self, key: str, read: Callable[[Value], _Read], stand_in: _Read) -> _Read:
        """Read a field that has to be there; ``stand_in`` is there for what is read after a mistake."""
        with self.place.forgiving():
            if key not in self.found:
                raise self.place.error(f"{key!r} is missing here")
            return read(self.found[key])
        return stand_in


def text(value: Value) -> str:
    """Read text that is not empty."""
    found = value.text().strip()
    if not found:
        raise value.error("expected text, found nothing")
    return found


def texts(value: Value) -> tuple[str, ...]:
    """Read a list of texts."""
    return tuple(text(one) for one in value.sequence())


def pairs(value: Value) -> dict[str, str]:
    """Read names with texts."""
    return {key: content.text() for key, _, content in value.items()}


def number(value: Value) -> float:
    """Read a number; ``80%`` is 0.8."""
    written = value.text().strip()
    try:
        found = float(written.removesuffix("%")) / (100 if written.endswith("%") else 1)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise value.error(f"expected a number, found {written!r}")
    return found


def natural(value: Value) -> int:
    """Read a whole number that is not negative."""
    found = number(value)
    if found < 0 or found != int(found):
        raise value.error(f"expected a whole number, 0 or more, found {value.text()!r}")
    return int(found)


def positive(value: Value) -> int:
    """Read a whole number above zero."""
    found = natural(value)
    if not found:
        raise value.error("expected 1 or more")
    return found


def duration(value: Value) -> float:
    """Read a duration: seconds."""
    return _parsed(value, parse_duration)


def longer(value: Value) -> float:
    """Read a duration that is not zero."""
    found = duration(value)
    if found <= 0:
        raise value.error("expected a duration above 0")
    return found


def size(value: Value) -> int:
    """Read a size: bytes."""
    return _parsed(value, parse_size)


def pattern(value: Value) -> re.Pattern[str]:
    """Read a regular expression."""
    try:
        return re.compile(text(value))
    except re.error as error:
        raise value.error(f"not a regular expression: {error}") from error


def choice(*known: str) -> Callable[[Value], str]:
    """Make a reader of one of some words."""

    def read(value: Value) -> str:
        found = value.text()
        if found not in known:
            raise value.error(f"expected {' or '.join(known)}, found {found!r}")
        return found

    return read


def is_off(value: Value) -> bool:
    """Tell whether this is written as ``off`` instead of settings. Raises `ConfigError` for another single value."""
    if value.is_mapping():
        return False
    if value.is_list() or value.text().lower() not in {"false", "no", "off"}:
        raise value.error(f"expected off, or settings, found {value.kind()}")
    return True


def _parsed(value: Value, parse: Callable[[str], _Read]) -> _Read:
    try:
        return parse(value.text())
    except ValueError as error:
        raise value.error(str(error)) from error
