"""Records in shared memory: whole whoever dies when, and no surprise when there is no room."""

from __future__ import annotations

import mmap
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from procfs_fuse.keeper.records import Records, Room

ROOMS = (Room(8, 2048), Room(4, 1 << 15))


@pytest.fixture
def memory() -> Iterator[int]:
    """Memory that several may map."""
    fd = os.memfd_create("test")
    os.ftruncate(fd, Records.length(ROOMS))
    yield fd
    os.close(fd)


def test_successor_finds_what_was_put(memory: int) -> None:
    """Put, replaced, grown, dropped: the next one sees the last state, and only that."""
    first = Records(memory, 0, ROOMS)
    for key, content in ((1, b"one"), (2, b"two"), (3, b"three"), (1, b"uno"), (2, b"2" * 5000)):
        assert first.put(key, content[:2], content[2:])
    first.drop(3)
    first.drop(99)
    assert dict(Records(memory, 0, ROOMS).items()) == {1: b"uno", 2: b"2" * 5000}
    assert len(first) == 2


def test_places_are_used_again(memory: int) -> None:
    """What is dropped makes room, also for a successor."""
    for generation in range(3):
        records = Records(memory, 0, ROOMS)
        for key in range(1, 9):
            assert records.put(key, b"%d" % generation)
        for key in range(1, 9):
            records.drop(key)
    assert len(Records(memory, 0, ROOMS)) == 0


def test_no_room_is_told(memory: int) -> None:
    """Too many, or too long: False, counted, and no old version of that record is left to mislead."""
    records = Records(memory, 0, ROOMS)
    assert all(records.put(key, b"x") for key in range(1, 13))
    assert not records.put(13, b"x")
    assert not records.put(1, b"x" * 40_000)
    assert records.refused == 2
    assert 1 not in dict(records.items())


def test_full_file_system_is_no_crash(memory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without memory behind it (ENOSPC) nothing is put; touching such memory would be SIGBUS."""
    records = Records(memory, 0, ROOMS)

    def full(*_arguments: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    assert not records.put(1, b"x")
    assert records.refused == 1


def test_large_records_give_their_memory_back(memory: int) -> None:
    """What was needed once does not stay for ever, but for a single place."""
    records = Records(memory, 0, ROOMS)
    before = os.fstat(memory).st_blocks
    for key in range(1, 5):
        records.put(key, b"x" * 30_000)
    assert os.fstat(memory).st_blocks >= before + 8 * (1 << 15) // 512
    for key in (2, 1, 4, 3):
        records.drop(key)
    assert os.fstat(memory).st_blocks <= before + (2 * (1 << 15) + mmap.PAGESIZE) // 512


def test_one_large_file_after_the_other_claims_memory_once(memory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Claiming it and giving it back would take as long as reading such a file."""
    records = Records(memory, 0, ROOMS)
    claim, claimed = os.posix_fallocate, []

    def spy(fd: int, start: int, length: int) -> None:
        claimed.append(start)
        claim(fd, start, length)

    monkeypatch.setattr(os, "posix_fallocate", spy)
    for key in range(1, 20):
        assert records.put(key, b"x" * 30_000)
        records.drop(key)
    assert len(claimed) == 1


def test_half_written_record_does_not_count(memory: int) -> None:
    """Whoever dies while writing leaves the version before; here it is an exception between two parts."""
    records = Records(memory, 0, ROOMS)
    for old in (b"first", b"second"):
        records.put(1, old)
        with pytest.raises(TypeError):
            records.put(1, b"new", ["not", "bytes"])  # type: ignore[arg-type]
        assert dict(Records(memory, 0, ROOMS).items()) == {1: old}


def test_killed_writer_leaves_whole_records(tmp_path: Path) -> None:
    """Killed at any instruction: each record is one of those that were put, none is a mixture."""
    fd = os.open(tmp_path / "records", os.O_RDWR | os.O_CREAT)
    os.ftruncate(fd, Records.length(ROOMS))
    moment = random.Random(1)  # noqa: S311 - repeatable, not secret
    for _ in range(40):
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            _write_for_ever(fd, writer)
        os.read(reader, 1)
        for _ in range(moment.randrange(20_000)):  # another moment each time
            pass
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(reader)
        os.close(writer)
        for key, content in Records(fd, 0, ROOMS).items():
            assert len(set(content)) == 1, content
            assert content[0] % 5 == key
    os.close(fd)


def _write_for_ever(fd: int, started: int) -> None:
    records = Records(fd, 0, ROOMS)
    os.write(started, b".")
    number = 0
    while True:
        number = (number + 1) % 250
        records.put(number % 5 or 5, bytes([number]) * (100 if number % 7 else 3000)) if number % 5 else None
        records.drop((number + 2) % 5 or 5)
