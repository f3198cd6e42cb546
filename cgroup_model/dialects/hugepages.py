"""What both dialects share about the hugetlb controller: page sizes are in the names of its files."""

from __future__ import annotations

import re
from functools import lru_cache

from cgroup_model.source import Missing, Source

FACTORS = {"KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}


def page_sizes(source: Source, directory: str, suffix: str) -> tuple[tuple[int, str], ...]:
    """List page sizes in bytes and as written (``2MB``), ascending; raises `Missing` when there is none."""
    sizes = _sizes_in(tuple(source.names(directory)), suffix)
    if not sizes:
        raise Missing(f"hugetlb.*.{suffix}")
    return sizes


@lru_cache(maxsize=8)  # all cgroups of a machine have the same files
def _sizes_in(names: tuple[str, ...], suffix: str) -> tuple[tuple[int, str], ...]:
    pattern = re.compile(r"hugetlb\.(([0-9]{1,9})([KMG]B))\." + re.escape(suffix), re.ASCII)
    matches = filter(None, map(pattern.fullmatch, names))
    return tuple(sorted((int(match[2]) * FACTORS[match[3]], match[1]) for match in matches))
