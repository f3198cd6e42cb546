"""Cycles of objects are found although most of what lives is not searched."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from exporters.garbage import ALL_AFTER, Garbage


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    """Leave the collector as it was."""
    yield
    gc.unfreeze()
    gc.enable()


class Cycle:
    """Refers to itself, so only a search frees it."""

    def __init__(self) -> None:
        self.itself = self


def test_no_search_while_a_page_is_made() -> None:
    """It is put off, and on again afterwards, also when making the page failed."""
    enabled: list[bool] = []

    def fail() -> None:
        with Garbage().put_off():
            enabled.append(gc.isenabled())
            raise RuntimeError("as a test")

    with pytest.raises(RuntimeError):
        fail()
    assert enabled == [False]
    assert gc.isenabled()


def test_cycles_between_pages_are_found_before_the_next_page() -> None:
    """What was made and given up between two pages is freed, so requests of clients leave nothing behind."""
    garbage = Garbage()
    with garbage.put_off():
        pass
    between = weakref.ref(Cycle())
    with garbage.put_off():
        assert between() is None


def test_cycles_that_were_alive_during_a_page_are_found_later() -> None:
    """They are left out of the usual searches, but not for ever."""
    garbage = Garbage()
    cycle: Cycle | None = Cycle()
    alive = weakref.ref(cycle)
    with garbage.put_off():
        pass
    cycle = None
    with garbage.put_off():
        assert alive() is not None  # so the next line proves something
    for _ in range(ALL_AFTER):
        with garbage.put_off():
            pass
    assert alive() is None
