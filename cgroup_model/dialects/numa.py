"""memory.numa_stat: where the pages of a cgroup are. Documentation/admin-guide/cgroup-v1/memory.rst, section 5.6.

v1, pages: ``total=6076 N0=6076``, ``file=…``, ``anon=…``, ``unevictable=…`` of the cgroup alone, the same behind
``hierarchical_`` of the subtree. v2, bytes, of the subtree only: ``inactive_anon N0=4096 N1=0`` and so on
(Documentation/admin-guide/cgroup-v2.rst).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from cgroup_model.dialects.optional import directory_of
from cgroup_model.dialects.records import Dirs
from cgroup_model.parse import ParseError, integer
from cgroup_model.snapshot import NumaPages
from cgroup_model.source import Source

FILE: Final = "memory.numa_stat"
_TYPES: Final = (b"total", b"file", b"anon", b"unevictable")
_BELOW: Final = b"hierarchical_"
_LISTS: Final = {  # of v2 -> v1's type
    b"inactive_anon": "anon",
    b"active_anon": "anon",
    b"inactive_file": "file",
    b"active_file": "file",
    b"unevictable": "unevictable",
}


def read_numa_v1(source: Source, dirs: Dirs) -> tuple[NumaPages, ...]:
    """Read a record per type, scope and node. Raises `Missing` where the kernel knows no nodes."""
    found = []
    for line in source.read(directory_of(dirs, "memory"), FILE).splitlines():
        head, nodes = _fields(line)
        name = head.partition(b"=")[0]
        scope, kind = ("hierarchy", name.removeprefix(_BELOW)) if name.startswith(_BELOW) else ("container", name)
        if kind in _TYPES:
            found += [NumaPages(kind.decode(), scope, node, pages) for node, pages in nodes]
    return tuple(found)


def read_numa_v2(source: Source, dirs: Dirs) -> tuple[NumaPages, ...]:
    """Do the same: pages of the reclaim lists, of which v1 has the sums."""
    page = os.sysconf("SC_PAGE_SIZE")
    sums: dict[tuple[str, int], int] = {}
    for line in source.read(directory_of(dirs, "memory"), FILE).splitlines():
        name, nodes = _fields(line)
        if name in _LISTS:
            for node, size in nodes:
                for kind in ("total", _LISTS[name]):
                    sums[kind, node] = sums.get((kind, node), 0) + size // page
    return tuple(NumaPages(kind, "hierarchy", node, pages) for (kind, node), pages in sorted(sums.items()))


def _fields(line: bytes) -> tuple[bytes, Iterator[tuple[int, int]]]:
    """Split ``NAME N0=1 N1=2``."""
    head, *rest = line.split() or [b""]
    return head, (_node(field, line) for field in rest)


def _node(field: bytes, line: bytes) -> tuple[int, int]:
    name, separator, number = field.partition(b"=")
    if not separator or not name.startswith(b"N"):
        raise ParseError("'N<node>=<number>'", line)
    return integer(name[1:]), integer(number)
