"""Finding containers: directories in, notifications in, set of paths out."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cgroup_model.discovery import Discovery, child_directories, walk_directories
from cgroup_model.inotify import Inotify
from cgroup_model.mounts import Hierarchy


def container_path(path: str) -> str | None:
    """Say that a cgroup whose name begins with "c" is a container."""
    names = path.split("/")
    for length in range(len(names), 0, -1):
        if names[length - 1].startswith("c"):
            return "/".join(names[:length])
    return None


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
def removed() -> list[str]:
    """Collect the paths that discovery saw going."""
    return []


@pytest.fixture
def discovery(tmp_path: Path, removed: list[str]) -> Iterator[Discovery]:
    """Watch a tree that looks like a hierarchy without controllers."""
    found = Discovery(Hierarchy(2, str(tmp_path), "/", frozenset()), container_path, removed.append)
    yield found
    found.close()


def test_a_scan_finds_containers_at_any_depth(tmp_path: Path, discovery: Discovery) -> None:
    """A container is a cgroup that is innermost on its own path: those inside others count, their parts do not."""
    (tmp_path / "c1" / "part").mkdir(parents=True)
    (tmp_path / "slice" / "c2" / "c3").mkdir(parents=True)
    assert discovery.refresh()
    assert discovery.inodes.keys() == {"/c1", "/slice/c2", "/slice/c2/c3"}
    assert discovery.is_live
    assert not discovery.refresh()


def test_notifications_keep_the_set_fresh(tmp_path: Path, discovery: Discovery, removed: list[str]) -> None:
    """What is made or removed anywhere, also inside of what was just made, is seen without another scan."""
    discovery.refresh()
    (tmp_path / "slice" / "c1").mkdir(parents=True)
    assert discovery.process_events()
    assert discovery.inodes.keys() == {"/slice/c1"}
    (tmp_path / "slice" / "c1" / "c2").mkdir()
    (tmp_path / "slice" / "plain").mkdir()
    assert discovery.process_events()
    assert discovery.inodes.keys() == {"/slice/c1", "/slice/c1/c2"}
    (tmp_path / "slice" / "plain").rmdir()
    assert not discovery.process_events()
    (tmp_path / "slice" / "c1" / "c2").rmdir()
    (tmp_path / "slice" / "c1").rmdir()
    assert discovery.process_events()
    assert discovery.inodes.keys() == set()
    assert removed == ["/slice/plain", "/slice/c1/c2", "/slice/c1"]


def test_a_container_made_again_is_a_change(tmp_path: Path, discovery: Discovery, removed: list[str]) -> None:
    """The same name is another cgroup: the set is equal, but who holds the old one must hear of it."""
    (tmp_path / "c1").mkdir()
    discovery.refresh()
    (tmp_path / "c1").rmdir()
    (tmp_path / "c1").mkdir()
    assert discovery.process_events()
    assert discovery.inodes.keys() == {"/c1"}
    assert removed == ["/c1"]


def test_a_short_life_leaves_no_trace(tmp_path: Path, discovery: Discovery) -> None:
    """A cgroup may be gone before its notification is read."""
    discovery.refresh()
    (tmp_path / "c1" / "c2").mkdir(parents=True)
    (tmp_path / "c1" / "c2").rmdir()
    (tmp_path / "c1").rmdir()
    assert not discovery.process_events()
    assert discovery.inodes.keys() == set()


def test_an_overflow_causes_a_rescan(tmp_path: Path, discovery: Discovery) -> None:
    """When the kernel drops events, the set is right all the same."""
    (tmp_path / "c1").mkdir()
    discovery.refresh()
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text(encoding="ascii"))
    file = str(tmp_path / "file")
    for _ in range(limit // 2 + 1):  # files, which are of no interest but fill the queue
        os.close(os.open(file, os.O_CREAT))
        os.unlink(file)
    (tmp_path / "c1").rmdir()
    (tmp_path / "c2").mkdir()
    assert discovery.process_events()
    assert discovery.inodes.keys() == {"/c2"}


def test_without_watches_a_rescan_sees_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, removed: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Out of watches (fs.inotify.max_user_watches): said once, and refresh() still finds all."""
    full = OSError(28, "No space left on device")

    def refuse(_self: Inotify, _directory: str) -> int:
        raise full

    monkeypatch.setattr(Inotify, "add", refuse)
    discovery = Discovery(Hierarchy(2, str(tmp_path), "/", frozenset()), container_path, removed.append)
    (tmp_path / "slice" / "c1").mkdir(parents=True)
    assert discovery.refresh()
    assert not discovery.is_live
    (tmp_path / "slice" / "c1").rmdir()
    assert not discovery.process_events()
    assert discovery.refresh()
    assert discovery.inodes.keys() == set()
    assert removed == ["/slice/c1"]
    assert len(caplog.records) == 1
    discovery.close()


def test_without_inotify_a_rescan_sees_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, removed: list[str]
) -> None:
    """Out of instances (fs.inotify.max_user_instances): there is nothing to poll, and refresh() still finds all."""

    def refuse(_self: Inotify) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(Inotify, "__init__", refuse)
    discovery = Discovery(Hierarchy(2, str(tmp_path), "/", frozenset()), container_path, removed.append)
    (tmp_path / "c1").mkdir()
    assert discovery.fileno() is None
    assert not discovery.process_events()
    assert discovery.refresh()
    assert discovery.inodes.keys() == {"/c1"}


def test_paths_are_those_of_the_hierarchy(tmp_path: Path, removed: list[str]) -> None:
    """A mount that shows a part of the hierarchy still gives the paths that /proc/PID/cgroup has."""
    discovery = Discovery(Hierarchy(2, str(tmp_path), "/outer", frozenset()), container_path, removed.append)
    (tmp_path / "c1").mkdir()
    discovery.refresh()
    assert discovery.inodes.keys() == {"/outer/c1"}
    discovery.close()


def test_children_are_sorted_and_know_if_they_are_leaves(tmp_path: Path) -> None:
    """Only directories are children, symbolic links are not followed, and a leaf needs no listing."""
    (tmp_path / "b" / "inner").mkdir(parents=True)
    (tmp_path / "a").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    children = child_directories(str(tmp_path))
    assert [child.directory for child in children] == [str(tmp_path / "a"), str(tmp_path / "b")]
    assert [child.inode for child in children] == [(tmp_path / name).stat().st_ino for name in "ab"]
    assert [child.is_leaf for child in children] == [(tmp_path / name).stat().st_nlink == 2 for name in "ab"]


def test_a_leaf_is_not_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the file system counts subdirectories, a directory without any is never opened."""
    (tmp_path / "a" / "leaf").mkdir(parents=True)
    if (tmp_path / "a").stat().st_nlink != 3:
        pytest.skip("this file system does not count subdirectories in st_nlink")
    listed = []
    scandir = os.scandir

    def spy(path: str) -> object:
        listed.append(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", spy)
    assert len(list(walk_directories(str(tmp_path)))) == 3
    assert listed == [str(tmp_path), str(tmp_path / "a")]


def test_a_walk_survives_what_vanishes(tmp_path: Path) -> None:
    """A directory removed in the middle of a walk is left out, as is everything below it."""
    for name in ("a", "b/inner", "c"):
        (tmp_path / name).mkdir(parents=True)
    seen = []
    for child in walk_directories(str(tmp_path)):
        seen.append(os.path.relpath(child.directory, tmp_path))
        if seen[-1] == "a":
            (tmp_path / "b" / "inner").rmdir()
            (tmp_path / "b").rmdir()
    assert seen == [".", "a", "b", "c"]
    assert list(walk_directories(str(tmp_path / "gone"))) == []


def test_a_walk_is_not_bound_by_the_stack(tmp_path: Path) -> None:
    """Whoever may make cgroups decides how deep they nest, up to what a path can name."""
    depth = 1800
    deep = str(tmp_path)
    for _ in range(depth):
        deep += "/d"
        os.mkdir(deep)
    found = [child.directory for child in walk_directories(str(tmp_path))]
    for directory in reversed(found[1:]):  # shutil.rmtree, which recurses, could not
        os.rmdir(directory)
    assert len(found) == depth + 1
