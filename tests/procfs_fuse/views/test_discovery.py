"""The set of virtual files, and what each says about itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

import procfs_fuse.views
from cgroup_model.snapshot import Host, Need, Snapshot
from procfs_fuse.views import TREES, VIEWS, View, by_path, view_of

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "files.md"


def view_at(path: str) -> View:
    """Return a view of nothing."""
    return View(PATH=path, NEEDS=Need.NOTHING, render=lambda _snapshot: b"")


def test_every_module_is_a_view() -> None:
    """Whoever writes a module has written a file: nothing else is to be edited."""
    folder = Path(procfs_fuse.views.__path__[0])
    modules = [path for path in folder.glob("*.py") if not path.name.startswith("_")]
    assert len(VIEWS) + len(TREES) == len(modules) > 0
    assert all(path == view.PATH for path, view in VIEWS.items())


def test_two_views_of_one_file_are_refused() -> None:
    """Which of the two would answer must not depend on the alphabet."""
    with pytest.raises(ValueError, match="two views of proc/a"):
        by_path([view_at("proc/a"), view_at("proc/b"), view_at("proc/a")])


@pytest.mark.parametrize("path", ["/proc/a", "proc//a", "proc/../a", "./a", "", "proc/"])
def test_a_path_is_relative_and_plain(path: str) -> None:
    """A view cannot reach out of its container's directory."""
    with pytest.raises(ValueError, match="not a plain relative path"):
        by_path([view_at(path)])


def test_a_module_without_render_is_refused() -> None:
    """A half-written view is found at start, not at the first read."""
    module = ModuleType("half")
    vars(module).update(PATH="proc/half", NEEDS=Need.NOTHING)
    with pytest.raises(TypeError, match="render"):
        view_of(module)


def test_nothing_is_missing_from_a_complete_snapshot(limited: Snapshot) -> None:
    """Where all is known no fallback is counted."""
    assert {path: view.missing(limited) for path, view in VIEWS.items()} == dict.fromkeys(VIEWS, ())


def test_missing_names_the_unknown_parts(limited: Snapshot) -> None:
    """A fallback can be told from a container's own numbers, and why."""
    poor = replace(limited, memory=None, memory_bounds=None, host=Host(), tasks=None)
    assert VIEWS["proc/meminfo"].missing(poor) == ("memory", "memory_bounds", "host.meminfo")
    assert VIEWS["proc/stat"].missing(poor) == ("tasks", "host.stat")
    assert VIEWS["proc/sys/kernel/threads-max"].missing(poor) == ("host.pid_max", "host.threads_max")


def test_a_normal_absence_is_not_missing(limited: Snapshot) -> None:
    """Hardly any container has the hugetlb controller: that is documented, not a fallback at every read."""
    assert limited.hugetlb is None
    assert Need.HUGETLB in VIEWS["proc/meminfo"].NEEDS
    assert VIEWS["proc/meminfo"].missing(limited) == ()


def test_only_a_file_of_fixed_length_is_cacheable() -> None:
    """A page cache tears files whose length changes; test_properties proves meminfo's does not."""
    assert [path for path, view in VIEWS.items() if view.CACHEABLE] == ["proc/meminfo"]


@pytest.mark.parametrize("path", [*VIEWS, *TREES])
def test_every_file_is_documented(path: str) -> None:
    """docs/files.md has a heading for each file."""
    headings = [line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith("## ")]
    assert any(path in heading for heading in headings)


def test_every_line_of_meminfo_is_documented(limited: Snapshot) -> None:
    """docs/files.md tells of each line of a real machine where its number comes from."""
    assert limited.host.meminfo is not None
    table = DOCUMENT.read_text(encoding="utf-8").partition("## proc/meminfo")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")]
    documented = {name.strip() for row in rows for name in row.split("|")[1].split(",")}
    names = {line.partition(":")[0] for line in limited.host.meminfo.decode().splitlines()}
    assert names - documented == set()
