"""Frozen records to JSON types and back, by their annotations. Defaults are left out, bytes are not kept.

`UNLIMITED` is written as ``"max"``, which no field of the model uses otherwise. What a newer version wrote and this one
does not know is skipped; what does not fit the annotations raises ValueError.
"""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

from cgroup_model.snapshot import UNLIMITED

_MAX: Final = UNLIMITED.value

Decode = Callable[[Any], Any]


class Memo:
    """What records became this time and last time: one that comes again, the very same object, is not encoded again."""

    def __init__(self) -> None:
        self._before: dict[int, tuple[object, Any]] = {}
        self._now: dict[int, tuple[object, Any]] = {}  # by id(), which is nobody else's while the record is held

    def turn(self) -> None:
        """Begin the next time: what did not come again this time is forgotten."""
        self._before, self._now = self._now, {}

    def find(self, record: object) -> Any:  # noqa: ANN401 - as `encode`; None: not known
        """Give what a record became."""
        known = self._now.get(id(record)) or self._before.get(id(record))
        if known is None:
            return None
        self._now[id(record)] = known
        return known[1]

    def keep(self, record: object, encoded: Any) -> Any:  # noqa: ANN401
        """Remember it, and give it back."""
        self._now[id(record)] = (record, encoded)
        return encoded


def encode(value: object, memo: Memo | None = None) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Turn a record, or anything inside of one, into JSON types; what a ``memo`` gives is not to be changed."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, enum.Enum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        if memo is None:
            return _encoded_record(value, None)
        return memo.find(value) or memo.keep(value, _encoded_record(value, memo))
    if isinstance(value, Mapping):
        return {str(key): encode(one, memo) for key, one in value.items()}
    if isinstance(value, tuple | list):
        return [encode(one, memo) for one in value]
    raise TypeError(type(value).__name__)


def decode(kind: type, data: object) -> Any:  # noqa: ANN401
    """Turn what `encode` made of a ``kind`` back into one; raises ValueError."""
    try:
        return _decoder(kind)(data)
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"not a {kind.__name__}: {error}") from error


def _encoded_record(record: Any, memo: Memo | None) -> dict[str, Any]:  # noqa: ANN401
    found = {}
    for name, default in _defaults(type(record)):  # type: ignore[arg-type] # any class is hashable
        value = getattr(record, name)
        if value is not default and value != default and not isinstance(value, bytes):
            found[name] = encode(value, memo)
    return found


@cache
def _defaults(kind: type) -> tuple[tuple[str, object], ...]:
    rows: list[tuple[str, object]] = []
    for one in dataclasses.fields(kind):
        default: object = one.default
        if one.default_factory is not dataclasses.MISSING:
            default = one.default_factory()
        rows.append((one.name, default))
    return tuple(rows)


@cache
def _decoder(kind: Any) -> Decode:  # noqa: ANN401, PLR0911 - types of types, a line for each sort
    if dataclasses.is_dataclass(kind):
        return _record_decoder(kind)
    origin = typing.get_origin(kind)
    arguments = typing.get_args(kind)
    if origin in {typing.Union, types.UnionType}:
        return _union_decoder(arguments)
    if origin is tuple:
        return _tuple_decoder(arguments)
    if origin is not None and issubclass(origin, Mapping):
        key, value = arguments[0], _decoder(arguments[1])
        return lambda data: {key(one): value(item) for one, item in data.items()}
    if origin is typing.Literal:
        return lambda data: UNLIMITED if data == _MAX and UNLIMITED in arguments else data
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return kind
    return lambda data: _checked(data, kind)


def _record_decoder(kind: Any) -> Decode:  # noqa: ANN401
    hints = typing.get_type_hints(kind)
    decoders: dict[str, Decode] = {}

    def decode_record(data: Any) -> Any:  # noqa: ANN401
        found = {}
        for name, value in data.items():
            if name in hints:
                if name not in decoders:  # late, since records hold one another
                    decoders[name] = _decoder(hints[name])
                found[name] = decoders[name](value)
        return kind(**found)

    return decode_record


def _union_decoder(arguments: tuple[Any, ...]) -> Decode:
    inner = [one for one in arguments if one is not type(None)]
    unlimited = any(typing.get_origin(one) is typing.Literal for one in inner)
    plain = [_decoder(one) for one in inner if typing.get_origin(one) is not typing.Literal]

    def decode_union(data: Any) -> Any:  # noqa: ANN401
        if data is None:
            return None
        if unlimited and data == _MAX:
            return UNLIMITED
        return plain[0](data)

    return decode_union


def _tuple_decoder(arguments: tuple[Any, ...]) -> Decode:
    if arguments[1:] == (...,):
        each = _decoder(arguments[0])
        return lambda data: tuple([each(one) for one in data])
    decoders = [_decoder(one) for one in arguments]
    return lambda data: tuple([one(item) for one, item in zip(decoders, data, strict=True)])


def _checked(data: Any, kind: Any) -> Any:  # noqa: ANN401
    if kind is float and isinstance(data, int | float) and not isinstance(data, bool):
        return float(data)
    if isinstance(kind, type) and not isinstance(data, kind):
        raise TypeError(f"{data!r} is no {kind.__name__}")
    return data
