"""Which worker hangs."""

from __future__ import annotations

from procfs_fuse.keeper.watchdog import SAMPLES, Watchdog


def test_one_that_does_nothing_with_work_hangs() -> None:
    """So many looks in a row, and not one fewer."""
    dog = Watchdog()
    assert [dog.look(7, has_work=True) for _ in range(SAMPLES + 1)] == [False] * SAMPLES + [True]


def test_progress_and_idleness_are_no_hanging() -> None:
    """Neither one that goes on nor one that has nothing to do, for however long."""
    dog = Watchdog()
    assert not any(dog.look(number, has_work=True) for number in range(50))
    assert not any(dog.look(50, has_work=False) for _ in range(50))
    assert not any(dog.look(50, has_work=number % SAMPLES != 0) for number in range(50))


def test_next_worker_begins_anew() -> None:
    """What the last one did not do is not held against it."""
    dog = Watchdog()
    for _ in range(SAMPLES):
        dog.look(("first", 1), has_work=True)
    assert not dog.look(("second", 1), has_work=True)
