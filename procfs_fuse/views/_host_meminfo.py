"""The machine's /proc/meminfo: numbers out, other numbers in, every line at a fixed width.

Kernel: fs/proc/meminfo.c, hugetlb_report_meminfo() in mm/hugetlb.c, arch_report_meminfo(). A value ends in column 24,
``MemTotal:       24684092 kB``, unless it has more than eight digits. A page cache can only serve files whose length
never changes, so here every value gets the room that the machine's largest one needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

_LABEL_WIDTH = 16
_LEAST_ROOM = 8
_COUNTS = b"HugePages_"  # lines that begin so are pages, without a unit


@dataclass(frozen=True, slots=True)
class HostMeminfo:
    """The machine's lines in their order. Numbers are read only when asked for: most are replaced unseen."""

    lines: tuple[bytes, ...]
    names: tuple[bytes, ...]  # a line without a colon is its own name
    positions: Mapping[bytes, int]  # of names in lines

    def get(self, name: bytes, default: int = 0) -> int:
        """Return a line's value, in kB or pages; the default if there is no such line or it is not a number."""
        try:
            value = int(self.lines[self.positions[name]].split()[1])
        except (KeyError, IndexError, ValueError):
            return default
        return max(0, value)

    @property
    def room(self) -> int:
        """Digits that every value of this machine fits in."""
        return max(_LEAST_ROOM, len(b"%d" % (self.get(b"MemTotal") + self.get(b"SwapTotal"))))

    def rendered(self, changes: Mapping[bytes, int]) -> bytes:
        """Return the file with some values changed; changes of lines that this kernel does not have are ignored."""
        room = self.room
        template, kept = _template(self.names, tuple(changes), room)
        values: dict[bytes, int | bytes] = {**changes}
        for position in kept:
            line = self.lines[position]
            values[self.names[position]] = line if room == _LEAST_ROOM else _padded(line, room)
        return template % tuple(map(values.__getitem__, self.names))


def parse(data: bytes) -> HostMeminfo:
    """Read the machine's file; whatever is not ``name: number`` is kept as it is."""
    lines = tuple(data.split(b"\n"))
    names = tuple([line.partition(b":")[0] for line in lines])
    return HostMeminfo(lines, *_positions(names))


def _padded(line: bytes, room: int) -> bytes:
    """Give the machine's number as much room as a container's; constants such as VmallocTotal may need more."""
    name, colon, rest = line.partition(b":")
    number, *unit = rest.split() or [b""]
    if not number.isdigit():
        return line
    label = _label(name + colon)
    return b" ".join([label + number.rjust(_room_after(label, room)), *unit])


def _label(name: bytes) -> bytes:
    label = name.ljust(_LABEL_WIDTH)
    return label if len(label) == _LABEL_WIDTH else label + b" "


def _room_after(label: bytes, room: int) -> int:
    return max(1, _LABEL_WIDTH + room - len(label))


# A machine has one set of lines as long as its kernel runs; the rest of these caches is for tests.


@lru_cache(maxsize=8)
def _positions(names: tuple[bytes, ...]) -> tuple[tuple[bytes, ...], Mapping[bytes, int]]:
    """Return the names, always as the same object, which compares at once in the next cache, and their positions."""
    return names, {name: position for position, name in enumerate(names)}


@lru_cache(maxsize=8)
def _template(names: tuple[bytes, ...], changed: tuple[bytes, ...], room: int) -> tuple[bytes, tuple[int, ...]]:
    """Return the file with a place for each line's value or, at the returned positions, for a whole kept line."""
    lines, kept = [], []
    for position, name in enumerate(names):
        label = _label(name + b":")
        if name in changed:
            unit = b"" if name.startswith(_COUNTS) else b" kB"
            lines.append(b"%s%%%dd%s" % (label.replace(b"%", b"%%"), _room_after(label, room), unit))
        else:
            lines.append(b"%s")
            kept.append(position)
    return b"\n".join(lines), tuple(kept)
