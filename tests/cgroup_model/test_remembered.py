"""Settings that nobody wrote to, records of the same bytes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cgroup_model.remembered import Remembered
from cgroup_model.source import Source


@pytest.fixture
def source() -> Iterator[Source]:
    """Give a source that remembers."""
    with Source(remember=True) as made:
        yield made


class Reader:
    """Reads the file "limit" as a setting, and counts how often it is parsed."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.parsed = 0

    def __call__(self, directory: Path) -> bytes | None:
        """Read it as a scrape does."""
        self.source.refresh()
        return self.source.settings(str(directory), ("limit",), self._parse)

    def _parse(self, data: bytes | None) -> bytes | None:
        self.parsed += 1
        return data


def cgroup(path: Path, content: bytes = b"1\n") -> Path:
    """Make a directory with the file."""
    path.mkdir()
    (path / "limit").write_bytes(content)
    return path


def overwrite(path: Path, content: bytes) -> None:
    """Write as one writes to a control file: no other file takes its place."""
    descriptor = os.open(path, os.O_WRONLY)
    os.write(descriptor, content)
    os.close(descriptor)


def test_a_setting_is_read_when_somebody_wrote(tmp_path: Path, source: Source) -> None:
    """At once after the write, and not before the next."""
    read, directory = Reader(source), cgroup(tmp_path / "a")
    assert [read(directory) for _ in range(5)] == [b"1\n"] * 5
    assert read.parsed == 1
    for number in range(20):
        overwrite(directory / "limit", b"%02d" % number)
        assert read(directory) == b"%02d" % number
    assert read.parsed == 21


def test_writes_to_an_ancestor_matter_below(tmp_path: Path, source: Source) -> None:
    """Some settings are inherited; those of neighbours are not concerned."""
    read, parent, neighbour = Reader(source), cgroup(tmp_path / "a"), cgroup(tmp_path / "ab")
    child = cgroup(parent / "b")
    for _ in range(2):
        assert (read(parent), read(child), read(neighbour)) == (b"1\n",) * 3
    overwrite(parent / "limit", b"2\n")
    assert (read(child), read(neighbour)) == (b"1\n",) * 2
    assert read.parsed == 4


def test_files_that_a_write_above_brings_are_found(tmp_path: Path) -> None:
    """A controller that is switched on in the parent: its files were known to be missing, as record and as setting."""
    parent = cgroup(tmp_path / "a")
    child = parent / "b"
    child.mkdir()
    with Source(remember=True, absent_seconds=1e6) as source:

        def reading(directory: Path) -> tuple[bytes | None, bytes | None]:
            source.refresh()
            said: bytes | None = source.record(str(directory), ("usage",), lambda data: data)
            return said, source.settings(str(directory), ("limit",), lambda data: data)

        for _ in range(3):
            assert reading(child) == (None, None)
            reading(parent)
        (child / "usage").write_bytes(b"3\n")
        (child / "limit").write_bytes(b"4\n")
        overwrite(parent / "limit", b"+\n")
        assert reading(child) == (b"3\n", b"4\n")


def test_a_directory_made_again_is_another(tmp_path: Path, source: Source) -> None:
    """What was remembered of its predecessor is forgotten when the tree says that it is gone."""
    read, directory = Reader(source), cgroup(tmp_path / "a")
    assert read(directory) == b"1\n"
    (directory / "limit").unlink()
    directory.rmdir()
    source.forget(str(directory))
    cgroup(tmp_path / "a", b"2\n")
    assert read(directory) == b"2\n"


def test_what_changes_without_a_write_is_read_when_told(tmp_path: Path, source: Source) -> None:
    """A CPU that went makes all settings unknown."""
    read, directory = Reader(source), cgroup(tmp_path / "a")
    read(directory)
    source.clear_settings()
    read(directory)
    assert read.parsed == 2


def test_lost_notifications_forget_everything(tmp_path: Path, source: Source) -> None:
    """When the kernel's queue overflows, all settings are read again."""
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    read = Reader(source)
    first, second = cgroup(tmp_path / "a"), cgroup(tmp_path / "b")
    assert (read(first), read(second)) == (b"1\n", b"1\n")
    descriptors = [os.open(one / "limit", os.O_WRONLY) for one in (first, second)]
    for number in range(limit + 10):  # the same event twice in a row is one
        os.pwrite(descriptors[number % 2], b"2\n", 0)
    for descriptor in descriptors:
        os.close(descriptor)
    third = cgroup(tmp_path / "c")
    assert (read(third), read(first), read(second)) == (b"1\n", b"2\n", b"2\n")


def test_the_same_bytes_are_the_same_record(tmp_path: Path, source: Source) -> None:
    """Files are read each time all the same: a change is seen at once."""
    directory = cgroup(tmp_path / "a")

    def parse(limit: bytes | None, missing: bytes | None) -> list[bytes | None]:
        return [limit, missing]

    names = ("limit", "none")
    first = source.record(str(directory), names, parse)
    assert source.record(str(directory), names, parse) is first
    overwrite(directory / "limit", b"2\n")
    assert source.record(str(directory), names, parse) == [b"2\n", None]


def test_without_notifications_settings_are_read_each_time(
    tmp_path: Path, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no watch is to be had (fs.inotify.max_user_watches) nothing is remembered, and nothing is wrong."""
    assert source._remembered is not None
    monkeypatch.setattr(source._remembered, "watch", lambda _directory: False)
    read, directory = Reader(source), cgroup(tmp_path / "a")
    read(directory)
    overwrite(directory / "limit", b"2\n")
    assert (read(directory), read.parsed) == (b"2\n", 2)


def test_settings_take_no_descriptor(tmp_path: Path, source: Source) -> None:
    """Descriptors are for what is read each time."""
    directory = cgroup(tmp_path / "a")
    Reader(source)(directory)
    assert source.stats.open_descriptors == 0


class Sum:
    """Adds up what is in the files "limit" of some directories, and counts how often it did."""

    def __init__(self, source: Source, *directories: Path) -> None:
        self.source = source
        self.directories = directories
        self.made = 0

    def __call__(self) -> int:
        """Ask for it as a look does."""
        self.source.refresh()
        return self.source.derived(("sum", self.directories), self._make)

    def _make(self) -> int:
        self.made += 1
        return sum(int(self._limit(directory) or b"0") for directory in self.directories)

    def _limit(self, directory: Path) -> bytes | None:
        return self.source.settings(str(directory), ("limit",), _as_it_is)


class SumWithUsage(Sum):
    """Does the same with a file that changes by itself."""

    def _limit(self, directory: Path) -> bytes | None:
        return self.source.read(str(directory), "limit")


def _as_it_is(data: bytes | None) -> bytes | None:
    return data


def test_what_follows_from_settings_is_worked_out_once(tmp_path: Path, source: Source) -> None:
    """And again at once after a write to any of them."""
    parent = cgroup(tmp_path / "a")
    child = cgroup(parent / "b")
    total = Sum(source, parent, child)
    assert [total() for _ in range(5)] == [2] * 5
    assert total.made == 2  # the settings themselves had to be read first
    for number, directory in enumerate((parent, child, parent), 2):
        overwrite(directory / "limit", b"%d\n" % number)
        assert total() == int((parent / "limit").read_text()) + int((child / "limit").read_text())


def test_what_follows_from_anything_else_is_worked_out_each_time(tmp_path: Path, source: Source) -> None:
    """Usage changes without a write."""
    total = SumWithUsage(source, cgroup(tmp_path / "a"))
    assert [total() for _ in range(3)] == [1] * 3
    assert total.made == 3


def test_what_follows_from_a_directory_that_went_is_forgotten(tmp_path: Path, source: Source) -> None:
    """Its successor is asked."""
    directory = cgroup(tmp_path / "a")
    total = Sum(source, directory)
    assert [total(), total()] == [1, 1]
    (directory / "limit").unlink()
    directory.rmdir()
    cgroup(directory, b"7\n")
    source.forget(str(directory))
    assert total() == 7


def test_without_remembering_everything_is_worked_out_each_time(tmp_path: Path) -> None:
    """A source that remembers nothing sees no writes."""
    with Source() as source:
        total = Sum(source, cgroup(tmp_path / "a"))
        assert [total(), total(), total.made] == [1, 1, 2]


def test_changes_concern_what_is_at_or_below_their_directory(tmp_path: Path) -> None:
    """As long as all changes since are known; those of a thousand directories are."""
    remembered = Remembered()
    try:
        top, other = cgroup(tmp_path / "a"), cgroup(tmp_path / "ab")
        below = str(top / "b" / "c")
        for _ in range(600):
            before = remembered.version
            for directory in (top, other):
                assert remembered.watch(str(directory))
                remembered.forget(str(directory))
            assert not remembered.same_since(before, [below])
            assert remembered.same_since(before, [str(tmp_path / "abc"), str(tmp_path)])
        assert not remembered.same_since(0, [str(tmp_path)])
        before = remembered.version
        assert remembered.same_since(before, [below])
        remembered.clear_settings()
        assert not remembered.same_since(before, [str(tmp_path)])
    finally:
        remembered.close()
