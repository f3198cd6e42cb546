"""Records behave as those of `dataclasses`, whose names they have."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from dataclasses import field, replace

import pytest

from cgroup_model.record import dataclass


@dataclasses.dataclass(frozen=True, slots=True)
class Plain:
    """What ours are held against."""

    path: str
    size: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def known(self) -> bool:
        """A property, to see that it stays."""
        return self.size is not None


@dataclass(frozen=True, slots=True)
class Ours:
    """The same."""

    path: str
    size: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def known(self) -> bool:
        """See `Plain`."""
        return self.size is not None


@dataclass(frozen=True, slots=True)
class Single:
    """A record of one field."""

    value: object


@pytest.mark.parametrize("kind", [Plain, Ours])
def test_records(kind: type[Plain]) -> None:
    """Made by position and by name, with defaults; equal and hashed by value; shown, replaced, matched, copied."""
    one = kind("/a")
    assert (one.path, one.size, one.labels, one.known) == ("/a", None, {}, False)
    assert one.labels is not kind("/a").labels
    assert one == kind(path="/a", size=None) != kind("/a", 1)
    other: object = Single("/a")
    assert one != other
    assert len({one, kind("/a", labels={"x": "y"}), kind("/b")}) == 3
    assert hash(one) == hash(kind("/a", labels={"x": "y"}))
    assert repr(kind("/a", 5)) == f"{kind.__name__}(path='/a', size=5, labels={{}})"
    changed = replace(one, size=7)
    assert (changed.path, changed.size, changed.known, one.size) == ("/a", 7, True, None)
    assert [entry.name for entry in dataclasses.fields(kind)] == ["path", "size", "labels"]
    assert kind.__match_args__ == ("path", "size", "labels")
    assert copy.copy(changed) == changed
    assert not hasattr(one, "__dict__")


@pytest.mark.parametrize("kind", [Plain, Ours])
def test_refusals(kind: type[Plain]) -> None:
    """Nothing can be set or deleted; wrong arguments are named."""
    one = kind("/a")
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'size'"):
        one.size = 5  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot delete field 'size'"):
        del one.size
    with pytest.raises(
        TypeError, match=rf"{kind.__name__}.__init__\(\) missing 1 required positional argument: 'path'"
    ):
        kind()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="unexpected keyword argument 'other'"):
        kind("/a", other=1)  # type: ignore[call-arg]


def test_one_field_and_others() -> None:
    """One field is a value by itself; what is not frozen is made by `dataclasses`."""
    assert Single(1) == Single(1) != Single(2)
    assert hash(Single("x")) == hash(Single("x"))

    @dataclass(slots=True)
    class Open:
        value: int = 0

    opened = Open()
    opened.value = 3
    assert opened == Open(3)
