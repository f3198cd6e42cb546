"""When the search for cycles of objects runs: not while a page is made, and not over all that is remembered."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from typing import Final

ALL_AFTER: Final = 100  # pages: so long is a cycle kept that was alive during a page and has ended since


class Garbage:
    """Puts it off while pages are made, which make tens of thousands of objects and no cycle (7 % of the time).

    What is alive when a page is done is taken out of later searches: among it is what is remembered of 1,000
    containers, half a million objects that a search takes 100 ms to visit.
    """

    def __init__(self) -> None:
        self._pages = 0

    @contextlib.contextmanager
    def put_off(self) -> Iterator[None]:
        """Search before the page, among what was made since the one before."""
        self._pages += 1
        if self._pages % ALL_AFTER == 0:
            gc.unfreeze()
        gc.collect()
        gc.disable()
        try:
            yield
        finally:
            gc.freeze()
            gc.enable()
