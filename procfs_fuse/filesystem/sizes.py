"""What `stat` says about the length of files that are made when they are read (docs/adr/0007).

Linux 6.5 and newer answer `sendfile` and `splice` with an empty file where the size is 0. So there is a size, as sysfs
has one: whole pages, at least one, that the content fits into. Programs that look from the end (`tail`) then find it:
they need a size whose last block the content reaches.
"""

from __future__ import annotations

import time
from typing import Final

from procfs_fuse.layout import INDEX_BITS

PAGE_BYTES: Final = 4096
_SURELY_SHORT: Final = PAGE_BYTES - 256
"""Content up to here does not outgrow a page while its numbers change."""
SHORT_VALID_NS: Final = 10_000_000_000
"""How long the kernel need not ask again for attributes of such a file: top looks once a second or less."""
_TRUSTED_NS: Final = 1_000_000_000

_INDEX_MASK: Final = (1 << INDEX_BITS) - 1


def announced(length: int) -> int:
    """Whole pages for a content of ``length`` bytes."""
    pages = 1 if length <= _SURELY_SHORT else 2
    return max(pages * PAGE_BYTES, -(-length // PAGE_BYTES) * PAGE_BYTES)


class Sizes:
    """Lengths of the latest renderings, by node (``slot << 32 | index``; slot 0 is the machine)."""

    def __init__(self) -> None:
        self._lengths: dict[int, tuple[int, int]] = {}  # node -> bytes, CLOCK_MONOTONIC
        self._long: set[int] = set()  # indexes

    def __contains__(self, node: int) -> bool:
        return node in self._lengths

    def note(self, node: int, length: int) -> None:
        """Remember what was rendered."""
        self._lengths[node] = length, time.monotonic_ns()
        if not is_short(length):
            self._long.add(node & _INDEX_MASK)

    def known(self, node: int) -> int | None:
        """The latest length; None where it has to be looked at: one that was short a while ago may be long by now."""
        length, noted_ns = self._lengths.get(node, (0, -_TRUSTED_NS))
        return length if not is_short(length) or time.monotonic_ns() - noted_ns < _TRUSTED_NS else None

    def may_be_long(self, index: int) -> bool:
        """Whether this file has been seen long, in whatever container or on the machine."""
        return index in self._long

    def keep_only(self, alive_slots: set[int]) -> None:
        """Forget the files of containers that are gone."""
        for node in [node for node in self._lengths if node >> INDEX_BITS and node >> INDEX_BITS not in alive_slots]:
            del self._lengths[node]


def is_short(length: int) -> bool:
    """Whether one page is the size for good; of other files the size is to be asked for each time."""
    return length <= _SURELY_SHORT
