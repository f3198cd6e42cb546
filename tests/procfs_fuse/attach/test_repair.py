"""How many containers are healed at once."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from procfs_fuse.attach.repair import _MOST_AT_ONCE, _overlap


class Repairs:
    """Repairs that write down what happens to them."""

    def __init__(self) -> None:
        self.under_way: set[int] = set()
        self.most = 0
        self.ended: list[int] = []

    def of(self, number: int) -> Generator[None]:
        """One that begins and ends."""
        self.under_way.add(number)
        self.most = max(self.most, len(self.under_way))
        try:
            yield
            self.ended.append(number)
        finally:
            self.under_way.remove(number)

    def that_fails(self) -> Generator[None]:
        """One that cannot begin."""
        raise OSError("no descriptors are left")
        yield

    def of_what_vanished(self) -> Generator[None]:
        """One that has nothing to do."""
        yield from ()


@pytest.fixture
def repairs() -> Repairs:
    """None yet."""
    return Repairs()


def test_some_at_once_and_all_in_the_end(repairs: Repairs) -> None:
    """As many as may be are under way together; a container that vanished is in nobody's way."""
    _overlap(repairs.of_what_vanished() if number % 7 == 3 else repairs.of(number) for number in range(40))
    assert repairs.ended == [number for number in range(40) if number % 7 != 3]
    assert (repairs.most, repairs.under_way) == (_MOST_AT_ONCE, set())


def test_none_is_left_behind(repairs: Repairs) -> None:
    """When one fails in a way that nobody foresaw, those that are under way are ended."""
    begun = [repairs.of(1), repairs.of(2)]
    with pytest.raises(OSError, match="no descriptors"):
        _overlap(iter([*begun, repairs.that_fails(), repairs.of(3)]))
    assert (repairs.ended, repairs.under_way) == ([], set())
