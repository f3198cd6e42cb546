"""Frozen records whose classes cost little until the first one is made.

`dataclasses` compiles six functions for each frozen class, a millisecond in all: with eighty classes that is what a
program waits for longest before it can show anything. Here all of them share their methods but ``__init__``, which is
compiled when it is called first and sets slots through their descriptors, in two thirds of the time that
``object.__setattr__`` takes. `dataclasses.replace`, `fields` and `is_dataclass` work as ever.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

__all__ = ["dataclass"]


def _init(self: Any, *values: object, **named: object) -> None:  # noqa: ANN401 - of any class
    """Compile the real one, which takes this one's place, and call it."""
    cls = self.__class__
    cls.__init__ = _compiled(cls)
    cls.__init__(self, *values, **named)


def _compiled(cls: Any) -> Callable[..., None]:  # noqa: ANN401
    given, lines = [], []
    names: dict[str, object] = {"MADE": object()}
    for field in dataclasses.fields(cls):
        name = value = field.name
        names[f"set_{name}"] = getattr(cls, name).__set__
        if field.default is not dataclasses.MISSING:
            names[f"default_{name}"] = field.default
            given.append(f"{name}=default_{name}")
        elif field.default_factory is not dataclasses.MISSING:
            names[f"make_{name}"] = field.default_factory
            given.append(f"{name}=MADE")
            value = f"make_{name}() if {name} is MADE else {name}"
        else:
            given.append(name)
        lines.append(f" set_{name}(self, {value})")
    exec("\n".join([f"def __init__({', '.join(['self', *given])}):", *lines, " return"]), names)  # noqa: S102 - as dataclasses do
    made: Callable[..., None] = names["__init__"]  # type: ignore[assignment]
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    return made


def _repr(self: Any) -> str:  # noqa: ANN401
    fields = dataclasses.fields(self)
    return f"{type(self).__qualname__}({', '.join(f'{one.name}={getattr(self, one.name)!r}' for one in fields)})"


def _eq(self: Any, other: Any) -> Any:  # noqa: ANN401
    if other.__class__ is not self.__class__:
        return NotImplemented
    return self is other or self._values(self) == self._values(other)


def _hash(self: Any) -> int:  # noqa: ANN401
    return hash(self._hashed(self))


def _setattr(_self: object, name: str, _value: object) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _delattr(_self: object, name: str) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


def _reduce(self: Any) -> tuple[object, ...]:  # noqa: ANN401
    return type(self), tuple(getattr(self, one.name) for one in dataclasses.fields(self))


_METHODS: Final = {
    "__init__": _init,
    "__repr__": _repr,
    "__eq__": _eq,
    "__hash__": _hash,
    "__setattr__": _setattr,
    "__delattr__": _delattr,
    "__reduce__": _reduce,
}


def _frozen(cls: Any) -> Any:  # noqa: ANN401
    made: Any = dataclasses.dataclass(cls, init=False, repr=False, eq=False, slots=True)
    fields = dataclasses.fields(made)
    values = attrgetter(*[one.name for one in fields])
    hashed = attrgetter(*[one.name for one in fields if one.hash is not False])
    for name, method in {**_METHODS, "_values": values, "_hashed": hashed}.items():
        setattr(made, name, method)
    return made


if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(*, frozen: bool = False, slots: bool = False, **more: bool) -> Callable[[type], type]:
        """Do what `dataclasses.dataclass` does; frozen ones with slots are made as said above. No inheritance."""
        if frozen and slots and not more:
            return _frozen
        return dataclasses.dataclass(frozen=frozen, slots=slots, **more)
