"""How the kernel writes limits that are none where it does not say ``max``: on v1, and for hugetlb also on v2.

A page counter's maximum is LONG_MAX pages (mm/page_counter.c), shown in bytes and rounded down to the size of a
page, of a huge page for hugetlb: 0x7ffffffffffff000 with 4 KiB pages.
"""

from __future__ import annotations

from cgroup_model.parse import signed
from cgroup_model.snapshot import UNLIMITED, UnlimitedType

LARGEST_PAGE = 1 << 34  # 16 GiB, the largest huge page of any architecture
UNLIMITED_FROM = (1 << 63) - LARGEST_PAGE
# What nearly every level of nearly every machine says (4 KiB pages), known at sight: this is read at each level.
_UNLIMITED_TEXTS = frozenset({b"max", b"%d" % ((1 << 63) - 4096)})


def counter_limit(data: bytes) -> int | UnlimitedType:
    """Parse a limit in bytes; ``max``, -1 or the counter's maximum is `UNLIMITED`."""
    if data.strip() in _UNLIMITED_TEXTS:
        return UNLIMITED
    return limit_of(signed(data))


def limit_of(value: int) -> int | UnlimitedType:
    """Tell whether a number of bytes is a limit at all."""
    return UNLIMITED if value < 0 or value >= UNLIMITED_FROM else value


def swap_alone(memsw: int | UnlimitedType, memory: int | UnlimitedType) -> int | UnlimitedType:
    """Compute what a limit of memory and swap together leaves to swap, bytes; never negative."""
    if memsw is UNLIMITED:
        return UNLIMITED
    return 0 if memory is UNLIMITED else max(0, memsw - memory)
