"""inotify on real directories."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cgroup_model.inotify import Event, Inotify


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    """Use memory where possible: filling an event queue on a disk takes ten seconds."""
    memory = Path("/dev/shm")  # noqa: S108 - the directory below it is private
    if not os.access(memory, os.W_OK):
        yield tmp_path
    else:
        with tempfile.TemporaryDirectory(prefix="cgscope-test-", dir=memory) as directory:
            yield Path(directory)


@pytest.fixture
def inotify() -> Iterator[Inotify]:
    """Give an open instance."""
    with Inotify() as instance:
        yield instance


def test_directories_are_reported(tmp_path: Path, inotify: Inotify) -> None:
    """Making and removing a directory are events, with the name as it is on disk; files are none."""
    watch = inotify.add(str(tmp_path))
    odd = tmp_path / "a\udcff b"
    odd.mkdir()
    (tmp_path / "file").touch()
    odd.rmdir()
    assert list(inotify.read()) == [Event(watch, odd.name, created=True), Event(watch, odd.name, deleted=True)]
    assert list(inotify.read()) == []


def test_one_directory_has_one_watch(tmp_path: Path, inotify: Inotify) -> None:
    """Adding again is harmless: discovery rescans without removing anything first."""
    assert inotify.add(str(tmp_path)) == inotify.add(str(tmp_path))


def test_a_removed_directory_ends_its_watch(tmp_path: Path, inotify: Inotify) -> None:
    """The kernel says that a watch is over, so that its number can be forgotten."""
    directory = tmp_path / "a"
    directory.mkdir()
    watch = inotify.add(str(directory))
    directory.rmdir()
    assert list(inotify.read()) == [Event(watch, "", ignored=True)]


def test_an_overflow_is_reported(tmp_path: Path, inotify: Inotify) -> None:
    """Lost events are not lost silently."""
    inotify.add(str(tmp_path))
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text(encoding="ascii"))
    file = str(tmp_path / "file")
    for _ in range(limit // 2 + 1):
        os.close(os.open(file, os.O_CREAT))
        os.unlink(file)
    *_, last = inotify.read()
    assert last == Event(-1, "", overflow=True)


@pytest.mark.parametrize(("name", "number"), [("gone", errno.ENOENT), ("file", errno.ENOTDIR), ("link", errno.ENOTDIR)])
def test_only_directories_can_be_watched(tmp_path: Path, inotify: Inotify, name: str, number: int) -> None:
    """What vanished, files and symbolic links are errors with the kernel's number."""
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(OSError, match=rf"\[Errno {number}\]"):
        inotify.add(str(tmp_path / name))
