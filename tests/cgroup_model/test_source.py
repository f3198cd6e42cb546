"""Kept descriptors: freshness, budget, and what is raised when a file or a cgroup is not there."""

from __future__ import annotations

import os
import resource
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cgroup_model.source import FIRST_READ, CgroupGone, Missing, Source, default_budget


def open_descriptors() -> int:
    """Count this process's descriptors."""
    return len(os.listdir("/proc/self/fd"))


@contextmanager
def soft_limit(count: int) -> Iterator[None]:
    """Let this process open no more than ``count`` descriptors for a while."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def cgroups(top: Path, count: int, names: tuple[str, ...] = ("a", "b")) -> list[str]:
    """Make ``count`` directories with files that hold their own path."""
    directories = []
    for index in range(count):
        directory = top / f"c{index}"
        directory.mkdir()
        for name in names:
            (directory / name).write_text(f"{index}/{name}")
        directories.append(str(directory))
    return directories


def test_kept_descriptor_reads_the_file_as_it_is_now(tmp_path: Path) -> None:
    """A second read gives new content, shorter or longer, without another descriptor."""
    file = tmp_path / "f"
    with Source(budget=4) as source:
        for content in (b"one", b"longer than before", b"", b"x"):
            file.write_bytes(content)
            assert source.read(str(tmp_path), "f") == content
        assert source.stats.open_descriptors == 1


@pytest.mark.parametrize("size", [FIRST_READ - 65, FIRST_READ, FIRST_READ + 1, 300_000])
@pytest.mark.parametrize("budget", [0, 4])
def test_large_files_are_read_to_their_end(tmp_path: Path, size: int, budget: int) -> None:
    """Any size comes whole, at the first and at later reads."""
    content = os.urandom(size)
    (tmp_path / "f").write_bytes(content)
    with Source(budget=budget) as source:
        assert [source.read(str(tmp_path), "f") for _ in range(2)] == [content, content]


def test_files_of_many_records_are_read_to_their_end() -> None:
    """The kernel hands out long lists in portions of a page: a short read is not yet the end of a file."""
    with Source() as source:
        lines = source.read("/proc", "kallsyms").splitlines()
    assert len(lines) > 10_000
    assert all(len(line.split()) >= 3 for line in lines)


def test_reading_in_turn_keeps_what_fits(tmp_path: Path) -> None:
    """With settled_seconds a round over more files than the budget finds the same ones kept, until they fall idle."""
    now = [0.0]
    directories = cgroups(tmp_path, 4, ("f",))
    with Source(budget=2, settled_seconds=10.0, clock=lambda: now[0]) as source:
        for _ in range(3):
            for directory in directories:
                source.read(directory, "f")
            now[0] += 5.0
        assert set(source._kept) == set(directories[:2])
        now[0] += 5.0
        source.read(directories[2], "f")
        assert set(source._kept) == {directories[1], directories[2]}


def test_missing_file_and_missing_directory_are_told_apart(tmp_path: Path) -> None:
    """`Missing` when the directory is there, `CgroupGone` when it is not."""
    with Source() as source:
        with pytest.raises(Missing, match="nothing"):
            source.read(str(tmp_path), "nothing")
        with pytest.raises(CgroupGone):
            source.read(str(tmp_path / "gone"), "f")
        with pytest.raises(Missing):
            source.write(str(tmp_path), "nothing", b"1")
        with pytest.raises(CgroupGone):
            source.write(str(tmp_path / "gone"), "f", b"1")
        with pytest.raises(CgroupGone):
            source.names(str(tmp_path / "gone"))


def test_missing_file_is_looked_for_again_after_a_while(tmp_path: Path) -> None:
    """A file that appears (a controller was enabled) is found when the time is over, not before."""
    now = [0.0]
    with Source(absent_seconds=1.0, clock=lambda: now[0]) as source:
        with pytest.raises(Missing):
            source.read(str(tmp_path), "late")
        (tmp_path / "late").write_bytes(b"1")
        with pytest.raises(Missing):
            source.read(str(tmp_path), "late")
        now[0] = 1.0
        assert source.read(str(tmp_path), "late") == b"1"


def test_files_are_read_in_one_go_again_after_a_missing_one_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record with an optional file that is not there does not stay slow once that had to be looked for again."""
    now = [0.0]
    one_by_one: list[tuple[str, ...]] = []
    read_all = Source.read_all

    def counted(source: Source, directory: str, names: tuple[str, ...]) -> tuple[bytes | None, ...]:
        one_by_one.append(names)
        return read_all(source, directory, names)

    def both(*contents: bytes | None) -> tuple[bytes | None, ...]:
        return contents

    monkeypatch.setattr(Source, "read_all", counted)
    (tmp_path / "a").write_bytes(b"1")
    with Source(absent_seconds=1.0, clock=lambda: now[0], remember=True) as source:
        for moment in (0.0, 0.5, 1.0, 1.5, 1.9):
            now[0] = moment
            assert source.record(str(tmp_path), ("a", "late"), both) == (b"1", None)
        assert one_by_one == [("a", "late")] * 2  # at 0.0 and 1.0


def test_a_record_of_which_no_file_is_there_can_be_read_again(tmp_path: Path) -> None:
    """A directory in which nothing is open has no descriptors that could be counted as used."""
    (directory,) = cgroups(tmp_path, 1)
    with Source(remember=True, settled_seconds=60.0) as source:
        for _ in range(2):
            assert source.record(directory, ("c", "d"), lambda *files: files) == (None, None)


def test_forget_also_forgets_what_was_missing(tmp_path: Path) -> None:
    """After `forget` a directory is looked at anew."""
    with Source(clock=lambda: 0.0) as source:
        with pytest.raises(Missing):
            source.read(str(tmp_path), "late")
        (tmp_path / "late").write_bytes(b"1")
        source.forget(str(tmp_path))
        assert source.read(str(tmp_path), "late") == b"1"


def test_budget_bounds_the_descriptors_and_drops_the_oldest_directory(tmp_path: Path) -> None:
    """Never more than the budget; what was read last stays."""
    directories = cgroups(tmp_path, 10)
    before = open_descriptors()
    with Source(budget=4) as source:
        for directory in directories:
            for name in ("a", "b"):
                assert source.read(directory, name) == f"{directory.rpartition('c')[2]}/{name}".encode()
                assert open_descriptors() - before == source.stats.open_descriptors <= 4
        assert source.stats.directories == 2
    assert open_descriptors() == before


def test_without_a_budget_nothing_is_kept(tmp_path: Path) -> None:
    """Budget 0: open, read, close."""
    (directory,) = cgroups(tmp_path, 1)
    before = open_descriptors()
    source = Source(budget=0)
    assert source.read(directory, "a") == b"0/a"
    assert open_descriptors() == before


def test_running_out_of_descriptors_makes_the_source_keep_fewer(tmp_path: Path) -> None:
    """EMFILE is answered by giving descriptors back, not by failing."""
    directories = cgroups(tmp_path, 40)
    with Source(budget=1000) as source, soft_limit(open_descriptors() + 20):
        for directory in directories * 2:
            assert source.read(directory, "a")
        assert source.stats.budget < 20


def test_default_budget_follows_the_limit_of_descriptors() -> None:
    """The soft limit is raised to the hard one, and a reserve is left to others."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        budget = default_budget()
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == hard
        assert 0 < budget < hard
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("name", ["", ".", "..", "../f", "a/f", "/etc/passwd", "f\0"])
def test_names_that_leave_the_directory_are_refused(tmp_path: Path, name: str) -> None:
    """A control file is named by one path component."""
    with Source() as source, pytest.raises(ValueError, match="control file"):
        source.read(str(tmp_path), name)


def test_symbolic_links_are_not_followed(tmp_path: Path) -> None:
    """A link in place of a control file is an error, whatever it points to."""
    (tmp_path / "f").symlink_to("/etc/passwd")
    with Source() as source, pytest.raises(OSError, match="symbolic"):
        source.read(str(tmp_path), "f")


def test_descriptors_are_closed_on_exec(tmp_path: Path) -> None:
    """No child inherits a control file."""
    (directory,) = cgroups(tmp_path, 1)
    before = {int(name) for name in os.listdir("/proc/self/fd")}
    with Source() as source:
        source.read(directory, "a")
        kept = {int(name) for name in os.listdir("/proc/self/fd")} - before
        inheritable = [fd for fd in kept if os.path.exists(f"/proc/self/fd/{fd}") and os.get_inheritable(fd)]
    assert kept
    assert not inheritable


def test_threads_share_a_source(tmp_path: Path) -> None:
    """Readers that evict one another's descriptors always read the file they asked for."""
    directories = cgroups(tmp_path, 8)
    wrong: list[bytes] = []

    def read(source: Source) -> None:
        for _ in range(100):
            for index, directory in enumerate(directories):
                data = source.read(directory, "a")
                if data != b"%d/a" % index:
                    wrong.append(data)

    with Source(budget=3) as source:
        threads = [threading.Thread(target=read, args=(source,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong


def test_a_directory_that_went_away_is_dropped(tmp_path: Path) -> None:
    """Once a read says `CgroupGone` nothing of that directory is held."""
    (directory,) = cgroups(tmp_path, 1)
    with Source() as source:
        source.read(directory, "a")
        shutil.rmtree(directory)
        with pytest.raises(CgroupGone):
            source.read(directory, "b")
        assert source.stats.open_descriptors == 0


def test_names_are_listed_again_after_a_while(tmp_path: Path) -> None:
    """A listing is kept as long as the absence of a file is, and dropped with what is kept of the directory."""
    now = [0.0]
    with Source(absent_seconds=1.0, clock=lambda: now[0]) as source:
        assert source.names(str(tmp_path)) == ()
        (tmp_path / "late").touch()
        now[0] = 0.9
        assert source.names(str(tmp_path)) == ()
        now[0] = 1.0
        assert source.names(str(tmp_path)) == ("late",)
        (tmp_path / "late").unlink()
        source.forget(str(tmp_path))
        assert source.names(str(tmp_path)) == ()
