"""The machine's /proc/meminfo: numbers out, other numbers in, every line at a fixed width.

Kernel: fs/proc/meminfo.c, hugetlb_report_meminfo() in mm/hugetlb.c, arch_report_meminfo(). A value ends in column 24,
``MemTotal:       24684092 kB``, unless it has more than eight digits. A page cache can only serve files whose length
never changes, so here every value gets the room that the machine's largest one needs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Any

_LABEL_WIDTH = 16
_LEAST_ROOM = 8
_KB = b"kB"
_DIGIT = re.compile(rb"[0-9]")
_NOT_SHAPE = b"0123456789 "
_MOST_LAYOUTS = 8  # a machine has one as long as its kernel runs; the rest is for tests


@dataclass(frozen=True, slots=True, eq=False)
class _Layout:
    """Which lines there are, and where in the file's words their numbers stand."""

    lines: tuple[tuple[bytes, bytes], ...]  # (name, unit); or (b"", the line), for a line that is something else
    positions: Mapping[bytes, int]  # of each name's number
    words: int
    spelled: tuple[tuple[int, bytes], ...]  # words with digits that are no numbers: DirectMap4k:
    pick: Callable[[Sequence[bytes]], tuple[bytes, ...]]  # the words that are numbers

    @property
    def is_regular(self) -> bool:
        """Whether the numbers are all that may change."""
        return all(name for name, _unit in self.lines)

    def fits(self, words: Sequence[bytes]) -> bool:
        """Whether a file of the same shape has these very lines."""
        return len(words) == self.words and all(words[position] == word for position, word in self.spelled)


class HostMeminfo(dict[bytes, int]):
    """The machine's numbers by their lines' names, in kB or pages; 0 for a line that there is not."""

    __slots__ = ("layout",)

    def __init__(self, layout: _Layout, numbers: Iterable[int]) -> None:
        super().__init__(zip(layout.positions, numbers, strict=True))
        self.layout = layout

    def __missing__(self, name: bytes) -> int:
        return 0

    @property
    def room(self) -> int:
        """Digits that every value of this machine fits in."""
        return max(_LEAST_ROOM, len(b"%d" % (self[b"MemTotal"] + self[b"SwapTotal"])))

    def rendered(self, changes: Mapping[bytes, int]) -> bytes:
        """Return the file with some values changed; changes of lines that this kernel does not have are ignored."""
        template, pick = _template(self.layout, self.room)
        return template % pick({**self, **changes})


_layouts: dict[bytes, _Layout] = {}  # by shape; a cache and not a state: it can be emptied at any time


def parse(data: bytes) -> HostMeminfo:
    """Read the machine's file; whatever is not ``name: number`` or ``name: number kB`` is kept as it is.

    What a file looks like without its numbers does not change while a kernel runs, and tells where they are.
    """
    words = data.split()
    shape = data.translate(None, _NOT_SHAPE)
    layout = _layouts.get(shape)
    if layout is None or not layout.fits(words):
        layout = _study(data)
        if len(_layouts) >= _MOST_LAYOUTS:
            _layouts.clear()
        if layout.is_regular:
            _layouts[shape] = layout
    numbers = layout.pick(words)
    try:
        return HostMeminfo(layout, map(int, numbers))
    except ValueError:  # words have moved between lines: no kernel does that
        return HostMeminfo(layout, [int(word) if word.isdigit() else 0 for word in numbers])


def _study(data: bytes) -> _Layout:
    """Look at each line of a file that was not seen before."""
    lines, positions, count = [], {}, 0
    for line in data.split(b"\n")[:-1]:
        words = line.split()
        name = words[0][:-1] if words and words[0].endswith(b":") else b""
        if name and name not in positions and words[1:2] and words[1].isdigit() and words[2:] in ([], [_KB]):
            lines.append((name, b" kB" if words[2:] else b""))
            positions[name] = count + 1
        else:
            lines.append((b"", line))
        count += len(words)
    spelled = enumerate(data.split())
    odd = tuple((position, word) for position, word in spelled if word.endswith(b":") and _DIGIT.search(word))
    return _Layout(tuple(lines), positions, count, odd, _picker(tuple(positions.values())))


@lru_cache(maxsize=_MOST_LAYOUTS)
def _template(layout: _Layout, room: int) -> tuple[bytes, Callable[[Mapping[bytes, int]], tuple[int, ...]]]:
    """Return the file with a place for each number, and what picks these in their order."""
    lines = []
    for name, unit in layout.lines:
        if not name:
            lines.append(unit.replace(b"%", b"%%") + b"\n")
            continue
        label = _label(name + b":")
        lines.append(b"%s%%%dd%s\n" % (label.replace(b"%", b"%%"), _room_after(label, room), unit))
    return b"".join(lines), _picker(tuple(layout.positions))


def _picker(keys: tuple[Any, ...]) -> Callable[[Any], tuple[Any, ...]]:
    """Like itemgetter, a tuple also of one thing or nothing."""
    return itemgetter(*keys) if len(keys) > 1 else lambda things: tuple([things[key] for key in keys])


def _label(name: bytes) -> bytes:
    label = name.ljust(_LABEL_WIDTH)
    return label if len(label) == _LABEL_WIDTH else label + b" "


def _room_after(label: bytes, room: int) -> int:
    return max(1, _LABEL_WIDTH + room - len(label))
