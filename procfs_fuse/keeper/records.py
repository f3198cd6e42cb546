"""Bytes by key in memory that several processes share one after the other.

A process may be killed between any two instructions. So a record has room for two versions, and one word of eight
bytes, which the processor stores at once, says which of them counts and how long it is. Who comes later finds the old
version or the new one.

Memory is claimed (fallocate) before it is touched: touching a page of a full file system would be SIGBUS.
"""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

_WORD: Final = 8
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.ENOMEM, errno.EDQUOT, errno.EFBIG})
_USED: Final = 2  # bits of a state word: version (1), used (2), and from the third on the length


class Room(NamedTuple):
    """So many records of up to so many bytes each; two versions of all of them fill whole pages."""

    places: int
    capacity: int


class _Shelf:
    """The places of one size: their numbers, where their bytes begin, and which of them are free.

    The lowest numbers are used first, so that whoever takes over need not look at those that never were.
    """

    def __init__(self, room: Room, first: int, start: int) -> None:
        self.capacity = room.capacity
        self.indices = range(first, first + room.places)
        self.unused = first  # from here on nothing has ever been stored
        self.free: list[int] = []  # below that
        self.spare: int | None = None  # the free place that keeps its memory, where others do not
        self._start = start

    @property
    def next(self) -> int | None:
        """A free place."""
        if self.free:
            return self.free[-1]
        return self.unused if self.unused < self.indices.stop else None

    def take(self) -> None:
        """The `next` one is free no more."""
        if not self.free:
            self.unused += 1
        elif self.free.pop() == self.spare:
            self.spare = None

    def start(self, index: int) -> int:
        """Where the first version of a record is."""
        return self._start + 2 * self.capacity * (index - self.indices.start)


class Records:
    """Records in the part of the file ``fd`` that begins at ``offset``, a multiple of the page size.

    ``rooms`` go from small to large. Not for several threads, nor for several processes at a time.
    """

    def __init__(self, fd: int, offset: int, rooms: Sequence[Room]) -> None:
        """Map it; raises OSError ENOSPC or ENOMEM when there is no room for the index."""
        self._fd, self._offset = fd, offset
        count = sum(room.places for room in rooms)
        start = _index_bytes(count)
        os.posix_fallocate(fd, offset, start)
        self._map = mmap.mmap(fd, self.length(rooms), offset=offset)
        self._memory = memoryview(self._map)
        self._words = self._memory[: 2 * _WORD * count].cast("Q")  # key and state of each record
        self._shelves: list[_Shelf] = []
        first = 0
        for room in rooms:
            self._shelves.append(_Shelf(room, first, start))
            first += room.places
            start += 2 * room.capacity * room.places
        self._claimed: set[int] = set()
        self._places: dict[int, tuple[_Shelf, int]] = {}  # by key: where its record is
        self.refused = 0
        """How often there was no room."""
        self._load()

    @staticmethod
    def length(rooms: Sequence[Room]) -> int:
        """How long the part of the file is."""
        index = _index_bytes(sum(room.places for room in rooms))
        return index + sum(2 * room.capacity * room.places for room in rooms)

    def put(self, key: int, *parts: bytes) -> bool:
        """Replace or make a record; False when there is no room, and then there is none of that key."""
        length = sum(map(len, parts))
        old = place = self._places.get(key)
        if place is None or length > place[0].capacity:
            place = self._take(key, length)
            if place is None:
                self.drop(key)
                self.refused += 1
                return False
        shelf, index = place
        version = self._words[2 * index + 1] & 1 ^ 1
        at = shelf.start(index) + version * shelf.capacity
        for part in parts:
            end = at + len(part)
            self._memory[at:end] = part
            at = end
        self._words[2 * index + 1] = length << 2 | _USED | version
        if place is not old:
            self._places[key] = place
            if old is not None:
                self._release(*old)
        return True

    def drop(self, key: int) -> None:
        """Forget a record, if there is one."""
        place = self._places.pop(key, None)
        if place is not None:
            self._release(*place)

    def items(self) -> Iterator[tuple[int, bytes]]:
        """All records."""
        for key, (shelf, index) in list(self._places.items()):
            state = self._words[2 * index + 1]
            start = shelf.start(index) + (state & 1) * shelf.capacity
            yield key, bytes(self._memory[start : start + (state >> 2)])

    def __len__(self) -> int:
        return len(self._places)

    def close(self) -> None:
        """Unmap; the file stays the caller's."""
        self._words.release()
        self._memory.release()
        self._map.close()

    def _load(self) -> None:
        """Find what another process has put there."""
        for shelf in self._shelves:
            first, stop = shelf.indices.start, shelf.indices.stop
            rows = bytes(self._memory[2 * _WORD * first : 2 * _WORD * stop]).rstrip(b"\0")
            shelf.unused = first + -(-len(rows) // (2 * _WORD))
            for index in range(first, shelf.unused):
                key, state = self._words[2 * index], self._words[2 * index + 1]
                if not state:
                    shelf.free.append(index)
                    continue
                smaller = self._places.get(key)
                if smaller is not None:  # the record had just outgrown that place
                    self._release(*smaller)
                self._places[key] = (shelf, index)

    def _take(self, key: int, length: int) -> tuple[_Shelf, int] | None:
        for shelf in self._shelves:
            if length <= shelf.capacity and (index := shelf.next) is not None:
                if not self._claim(shelf, index):
                    return None
                shelf.take()
                self._words[2 * index] = key
                return shelf, index
        return None

    def _claim(self, shelf: _Shelf, index: int) -> bool:
        if index not in self._claimed:
            try:
                os.posix_fallocate(self._fd, self._offset + shelf.start(index), 2 * shelf.capacity)
            except OSError as error:
                if error.errno in _NO_ROOM:
                    return False
                raise
            self._claimed.add(index)
        return True

    def _release(self, shelf: _Shelf, index: int) -> None:
        self._words[2 * index + 1] = 0
        shelf.free.append(index)
        if shelf.capacity > mmap.PAGESIZE:
            # The large ones are rare: their memory is given back, but for the one that is used next. Giving it back
            # and claiming it anew takes as long as reading a file.
            if shelf.spare is not None:
                self._claimed.discard(shelf.spare)
                self._map.madvise(mmap.MADV_REMOVE, shelf.start(shelf.spare), 2 * shelf.capacity)
            shelf.spare = index


def _index_bytes(count: int) -> int:
    return -(-2 * _WORD * count // mmap.PAGESIZE) * mmap.PAGESIZE
