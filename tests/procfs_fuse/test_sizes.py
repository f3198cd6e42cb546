"""Sizes of files that are made when they are read. No mount is needed for any of it."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgroup_model.keys import escape_path
from cgroup_model.snapshot import Need
from procfs_fuse.contents import Contents, HostFiles
from procfs_fuse.filesystem import OpenFileSystem
from procfs_fuse.filesystem.sizes import Sizes, announced, is_short
from procfs_fuse.layout import INDEX_BITS, Layout
from procfs_fuse.views import View
from tests.procfs_fuse.test_filesystem import World, age

FILE = f"containers/{escape_path('/docker/one')}/proc/uptime"
LINES = View("proc/uptime", Need.AGE, lambda snapshot: age(snapshot) * 1000)  # 90,000 bytes


@given(st.integers(0, 1 << 20), st.sampled_from([4096, 8192]))
def test_the_last_block_is_never_empty(length: int, block: int) -> None:
    """Who reads from the end in blocks, as GNU tail does, finds the end of the content in the last one."""
    size = announced(length)
    assert size > 0
    assert size % 4096 == 0
    assert length <= size
    assert is_short(length) == (size == 4096)
    if length > 4096 or block == 8192:
        assert (size - 1) // 8192 * 8192 < max(length, 1)


@pytest.fixture
def world() -> World:
    """Containers with one long file."""
    world = World()
    contents = Contents(world.collector, HostFiles([LINES]))
    world.open = OpenFileSystem(Layout([LINES]), world.containers, contents, world.container_of)
    return world


def test_a_long_file_has_room_for_its_content(world: World) -> None:
    """The size is known before anything was read, and not remembered by the kernel."""
    attr = world.open.getattr(world.node(FILE), 3)
    assert (attr.size, attr.attr_valid_ns) == (90_112, 0)


def test_names_are_looked_up_without_rendering(world: World) -> None:
    """A lookup costs nothing and cannot fail for what is in the file; the size is to be asked for, but never 0."""
    world.collector.error = RuntimeError("broken")
    attr = world.open.lookup(world.node(os.path.dirname(FILE)), b"uptime", 3)
    assert (attr.size, attr.attr_valid_ns) == (4096, 0)
    assert world.collector.taken == 0


def test_opening_costs_no_rendering(world: World) -> None:
    """The kernel asks for a long file's mode at each open: the size is then that of the last rendering."""
    node = world.node(FILE)
    for _ in range(10):
        world.open.getattr(node, 3)
    assert world.collector.taken == 1


def test_the_size_of_an_open_file_is_that_of_its_content(world: World) -> None:
    """`lseek` to the end and a read before it see one rendering; what has been read is not made anew."""
    node = world.node(FILE)
    world.open.getattr(node, 3)
    handle = world.open.open(node, os.O_RDONLY, 3)
    assert world.open.getattr(node, 3, handle).size == 90_112
    taken = world.collector.taken
    assert world.open.read(node, handle, 89_991, 9, 3) == b"%08d\n" % taken
    world.open.getattr(node, 3, handle)
    assert world.open.read(node, handle, 89_991, 9, 3) == b"%08d\n" % taken
    assert world.collector.taken == taken


def test_one_inode_for_all_callers(world: World) -> None:
    """Where the caller decides, a short file's size is not remembered as long as another caller's may be long."""
    node = world.node("proc/uptime")
    assert world.open.getattr(node, 3).size == 4096
    assert world.open.getattr(node, 3).attr_valid_ns > 0
    world.open.read(node, world.open.open(node, os.O_RDONLY, 1), 0, 10, 1)
    found = world.open.getattr(node, 3)
    assert (found.size, found.attr_valid_ns) == (4096, 0)


def test_a_short_file_may_have_grown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A length is trusted for a second; what was long is asked for anew anyway."""
    now = 1_000
    monkeypatch.setattr("time.monotonic_ns", lambda: now)
    sizes = Sizes()
    node = 7 << INDEX_BITS | 9
    assert sizes.known(node) is None
    sizes.note(node, 100)
    assert sizes.known(node) == 100
    now += 1_000_000_000
    assert sizes.known(node) is None
    sizes.note(node, 5_000)
    now += 1_000_000_000
    assert sizes.known(node) == 5_000
    sizes.keep_only({8})
    assert sizes.known(node) is None
