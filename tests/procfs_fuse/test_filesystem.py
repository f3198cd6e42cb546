"""The tree: stable node ids, listings, permissions, and read semantics of handles. No mount is needed for any of it."""

from __future__ import annotations

import errno
import math
import os
import stat
import zlib
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgroup_model.keys import escape_path
from cgroup_model.layout import Cgroup
from cgroup_model.procfs import NoSuchTask
from cgroup_model.snapshot import Host, Need, Snapshot
from cgroup_model.source import CgroupGone
from procfs_fuse.contents import Contents, HostFiles
from procfs_fuse.filesystem import CONTAINERS_NODE, CachedFileSystem, Containers, OpenFileSystem
from procfs_fuse.filesystem.kept import Forgetful
from procfs_fuse.identity import SlotTable
from procfs_fuse.keeper.journal import Journal, Kept, create
from procfs_fuse.layout import INDEX_BITS, Layout, index_of
from procfs_fuse.transport import ROOT_NODE, Entry
from procfs_fuse.views import VIEWS, View


class Counting:
    """A collector whose every snapshot is one second older than the last."""

    def __init__(self) -> None:
        self.taken = 0
        self.error: Exception | None = None

    def snapshot(self, cgroup: Cgroup, needs: Need) -> Snapshot:
        """Count and answer, or fail as told."""
        assert needs
        self.taken += 1
        if self.error is not None:
            raise self.error
        return Snapshot(path=cgroup.path, host=Host(), age_seconds=float(self.taken))

    def machine(self, needs: Need) -> Snapshot:
        """Nothing is known."""
        assert needs
        return Snapshot(path="", host=Host())

    def open_pressure(self, cgroup: Cgroup, resource: str) -> int:
        """Nobody writes triggers here."""
        raise NotImplementedError(cgroup, resource)


class Listed:
    """Containers under test control."""

    def __init__(self, *paths: str) -> None:
        self.cgroups = {escape_path(path): Cgroup(path, 100 + number, {}) for number, path in enumerate(paths)}

    def containers(self) -> Mapping[str, Cgroup]:
        """All of them."""
        return dict(self.cgroups)

    def find(self, key: str) -> Cgroup:
        """One of them."""
        if key not in self.cgroups:
            raise CgroupGone(key)
        return self.cgroups[key]

    def cgroup(self, path: str) -> Cgroup:
        """The one with this path."""
        return self.find(escape_path(path))

    def is_alive(self, cgroup: Cgroup) -> bool:
        """Whether it is one of them."""
        return cgroup in self.cgroups.values()


def age(snapshot: Snapshot) -> bytes:
    """Ten lines that all say the same number, so that a mixture of two renderings shows."""
    return b"%08d\n" % int(snapshot.age_seconds or 0) * 10


VARYING = View("proc/uptime", Need.AGE, age)
CACHED = View("proc/meminfo", Need.AGE, age, CACHEABLE=True)


class World:
    """Both file systems over the same two containers; callers 1 and 2 are in them, 3 is the host's, 4 is gone."""

    def __init__(self, ttl_ns: int = 0, opened: View = VARYING) -> None:
        self.collector = Counting()
        self.tree = Listed("/docker/one", "/docker/two")
        self.containers = Containers(self.tree, SlotTable())
        self.contents = Contents(self.collector, HostFiles([VARYING]))
        layout = Layout([opened, CACHED])
        self.open = OpenFileSystem(layout, self.containers, self.contents, self.container_of)
        self._layout, self._ttl_ns = layout, ttl_ns
        self.keep(Forgetful())

    def keep(self, kept: Kept | Forgetful) -> None:
        """Begin anew on the cached connection, on what a process before has left."""
        self.cached = CachedFileSystem(
            self._layout, self.containers, self.contents, open_mountpoint="/m", ttl_ns=self._ttl_ns, kept=kept
        )

    def container_of(self, pid: int) -> Cgroup | None:
        """Stand in for `Callers`."""
        if pid == 4:
            raise NoSuchTask(pid)
        return {1: self.tree.find(escape_path("/docker/one")), 2: self.tree.find(escape_path("/docker/two"))}.get(pid)

    def node(self, path: str, filesystem: OpenFileSystem | CachedFileSystem | None = None) -> int:
        """Walk down to a path."""
        node = ROOT_NODE
        for name in path.split("/"):
            node = (filesystem or self.open).lookup(node, name.encode(), 3).ino
        return node


def names(entries: list[Entry]) -> set[bytes]:
    """Without order."""
    return {entry.name for entry in entries}


ONE = escape_path("/docker/one")


def test_every_view_has_its_own_stable_index() -> None:
    """Node ids come from paths alone: no two views share one, and these never change."""
    layout = Layout(VIEWS.values())
    assert {layout.items[index_of(path)].path for path in VIEWS} == set(VIEWS)
    assert index_of("proc/meminfo") == zlib.crc32(b"proc/meminfo")


def test_two_paths_with_one_index_are_refused() -> None:
    """A collision is found when the program starts, not when a container reads the wrong file."""
    path, other = "proc/iiwucoup", "proc/uejgtcuo"  # found by search
    assert index_of(path) == index_of(other)
    with pytest.raises(ValueError, match="index"):
        Layout([View(path, Need.AGE, age), View(other, Need.AGE, age)])


def test_listing_and_lookup_agree() -> None:
    """What readdir names can be looked up, has the announced node id and type, and getattr says the same."""
    world = World()
    for filesystem in (world.open, world.cached):
        pending, seen = [ROOT_NODE], 0
        while pending:
            parent = pending.pop()
            entries = filesystem.readdir(parent, 3)
            assert [entry.ino for entry in entries] == sorted(entry.ino for entry in entries)
            for entry in entries:
                attr = filesystem.lookup(parent, entry.name, 3)
                assert attr.ino == entry.ino
                assert stat.S_IFMT(attr.mode) >> 12 == entry.kind
                assert filesystem.getattr(entry.ino, 3).mode == attr.mode
                seen += 1
                if stat.S_ISDIR(attr.mode):
                    pending.append(entry.ino)
        assert seen >= 8


def test_unknown_names_are_not_there() -> None:
    """ENOENT for names that do not exist, hostile ones included, at every level."""
    world = World()
    for parent in (ROOT_NODE, CONTAINERS_NODE, world.node(f"containers/{ONE}"), world.node("proc")):
        for name in (b"nothing", b"..", b"\xff\xfe", b"%2F..", b"a" * 255, b"%00"):
            with pytest.raises(OSError, match="No such file") as caught:
                world.open.lookup(parent, name, 3)
            assert caught.value.errno == errno.ENOENT


def test_the_directory_of_containers_is_roots() -> None:
    """Strangers reach files by bind mounts only, not by walking through other containers' trees."""
    world = World()
    assert stat.S_IMODE(world.open.getattr(CONTAINERS_NODE, 3).mode) == 0o700
    assert stat.S_IMODE(world.cached.getattr(ROOT_NODE, 3).mode) == 0o700
    assert stat.S_IMODE(world.open.getattr(ROOT_NODE, 3).mode) == 0o555


def test_files_cannot_be_written() -> None:
    """Opening for writing is refused, also for root, whom permissions do not stop."""
    world = World()
    for flags in (os.O_WRONLY, os.O_RDWR):
        with pytest.raises(PermissionError):
            world.open.open(world.node("proc/uptime"), flags, 1)


def test_answers_for_the_caller() -> None:
    """The same file answers for whoever opened it, also when the descriptor is read by somebody else later."""
    world = World()
    node = world.node("proc/uptime")
    handle = world.open.open(node, os.O_RDONLY, 1)
    assert world.open.read(node, handle, 0, 9, 2) == b"00000001\n"
    handle = world.open.open(node, os.O_RDONLY, 3)
    with open("/proc/uptime", "rb") as file:
        host = file.read()
    assert world.open.read(node, handle, 0, 100, 1).split(b".")[0] == host.split(b".")[0]


def test_an_unknown_caller_is_counted() -> None:
    """Host values for a caller that cannot be seen are counted as a fallback."""
    world = World()
    node = world.node("proc/uptime")
    assert world.open.read(node, world.open.open(node, os.O_RDONLY, 4), 0, 100, 4)
    assert world.contents.fallbacks == {("proc/uptime", "the caller cannot be seen"): 1}


def test_offset_zero_is_fresh_and_other_offsets_continue() -> None:
    """A rewound descriptor sees new values (top depends on it), a split read sees one rendering."""
    world = World()
    node = world.node(f"containers/{ONE}/proc/uptime")
    handle = world.open.open(node, os.O_RDONLY, 3)
    first = world.open.read(node, handle, 0, 5, 3)
    assert first + world.open.read(node, handle, 5, 1000, 3) == b"00000001\n" * 10
    assert world.open.read(node, handle, 90, 10, 3) == b""
    assert world.open.read(node, handle, 500, 10, 3) == b""
    assert world.open.read(node, handle, 0, 9, 3) == b"00000002\n"


@given(st.lists(st.integers(1, 40), min_size=1, max_size=30))
def test_any_split_reassembles(sizes: list[int]) -> None:
    """Whatever the sizes of the reads, the bytes are those of one rendering, and then end of file."""
    world = World()
    node = world.node(f"containers/{ONE}/proc/uptime")
    handle = world.open.open(node, os.O_RDONLY, 3)
    content, offset = b"", 0
    for size in (*sizes, 1000):
        content += world.open.read(node, handle, offset, size, 3)
        offset = len(content)
    assert content == b"00000001\n" * 10


def test_pread_on_a_fresh_descriptor() -> None:
    """A first read at some offset gives the bytes there, not nothing."""
    world = World()
    node = world.node(f"containers/{ONE}/proc/uptime")
    assert world.open.read(node, world.open.open(node, os.O_RDONLY, 3), 81, 100, 3) == b"00000001\n"


def test_a_handle_of_an_earlier_process_still_reads() -> None:
    """An unknown handle is rebuilt from its node, so that a restart is not seen."""
    world = World()
    node = world.node(f"containers/{ONE}/proc/uptime")
    assert world.open.read(node, 12345, 9, 9, 3) == b"00000001\n"
    assert world.open.read(node, 12345, 18, 9, 3) == b"00000001\n"
    world.open.release(node, 12345)
    assert world.open.open_handles == 0


def test_closed_handles_leave_nothing() -> None:
    """After release neither handles nor their bytes are kept."""
    world = World()
    node = world.node("proc/uptime")
    for _ in range(100):
        handle = world.open.open(node, os.O_RDONLY, 1)
        world.open.read(node, handle, 0, 100, 1)
        world.open.release(node, handle)
    assert world.open.open_handles == 0
    assert world.open._handles.bytes == 0


def test_kept_bytes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many files a container keeps open, the memory for them has a limit; they all still read."""
    monkeypatch.setattr("procfs_fuse.filesystem.handles.MOST_KEPT_BYTES", 1000)
    world = World()
    node = world.node("proc/uptime")
    handles = [world.open.open(node, os.O_RDONLY, 1) for _ in range(50)]
    for handle in handles:
        assert len(world.open.read(node, handle, 0, 100, 1)) == 90
    assert world.open._handles.bytes <= 1000
    assert len(world.open.read(node, handles[0], 9, 100, 1)) == 81


def test_directories_that_come_later_are_noticed() -> None:
    """What is served of a container that was seen while it was being made is complete as soon as the container is."""
    world = World()
    slot = world.node(f"containers/{ONE}") >> INDEX_BITS
    complete = Cgroup("/docker/one", 100, {"cpu": "/docker/one"})
    world.tree.cgroups[ONE] = complete
    assert world.containers.of_slot(slot) is complete
    assert world.containers.living(slot) is complete


def told(world: World, path: str) -> bytes:
    """What an open, a read and a close of a container's file give."""
    node = world.node(f"containers/{path}/proc/uptime")
    handle = world.open.open(node, os.O_RDONLY, 3)
    try:
        return world.open.read(node, handle, 0, 9, 3)
    finally:
        world.open.release(node, handle)


@pytest.mark.parametrize(("same_until", "then"), [(math.inf, b"00000001\n"), (0.0, b"00000003\n")])
def test_what_would_be_the_same_is_not_made_again(same_until: float, then: bytes) -> None:
    """A container is told the same while a file has nothing newer to tell: this container, if it is still there."""
    world = World(opened=replace(VARYING, same_until=lambda _snapshot: same_until))
    two = escape_path("/docker/two")
    assert [told(world, ONE), told(world, two), told(world, ONE)] == [b"00000001\n", b"00000002\n", then]
    node = world.node(f"containers/{two}/proc/uptime")
    handle = world.open.open(node, os.O_RDONLY, 3)
    del world.tree.cgroups[two]
    world.collector.error = CgroupGone("/docker/two")
    with pytest.raises(OSError, match="No such device"):
        world.open.read(node, handle, 0, 9, 3)


def test_a_gone_container_is_enodev_and_never_another() -> None:
    """Node ids of a removed container answer ENODEV, also when a new one has taken its name."""
    world = World()
    node = world.node(f"containers/{ONE}/proc/uptime")
    world.tree.cgroups[ONE] = Cgroup("/docker/one", 999, {})
    world.containers.slots.keep_only({("/docker/one", 999)})
    assert world.node(f"containers/{ONE}/proc/uptime") != node
    for action in (lambda: world.open.getattr(node, 3), lambda: world.open.open(node, os.O_RDONLY, 3)):
        with pytest.raises(OSError, match="No such device") as caught:
            action()
        assert caught.value.errno == errno.ENODEV


def test_a_container_that_goes_while_it_is_read() -> None:
    """CgroupGone during the snapshot is ENODEV to the reader."""
    world = World()
    node = world.node(f"containers/{ONE}/proc/uptime")
    handle = world.open.open(node, os.O_RDONLY, 3)
    world.collector.error = CgroupGone("/docker/one")
    with pytest.raises(OSError, match="No such device"):
        world.open.read(node, handle, 0, 100, 3)


def test_last_good_value_before_the_hosts() -> None:
    """When a snapshot fails, a container gets its own last answer; before the first, the host's. Both are counted."""
    world = World()
    node = world.node(f"containers/{ONE}/proc/uptime")
    handle = world.open.open(node, os.O_RDONLY, 3)
    world.collector.error = RuntimeError("broken")
    assert b"." in world.open.read(node, handle, 0, 100, 3)
    world.collector.error = None
    good = world.open.read(node, handle, 0, 100, 3)
    world.collector.error = RuntimeError("broken")
    assert world.open.read(node, handle, 0, 100, 3) == good
    assert world.contents.fallbacks == {("proc/uptime", "RuntimeError"): 2}


def test_one_generation_per_ttl() -> None:
    """Within the TTL a cached file has one content, size and mtime; READ gives the bytes that GETATTR announced."""
    world = World(ttl_ns=3600 * 10**9)
    node = world.node(f"{ONE}/proc/meminfo", world.cached)
    first = world.cached.getattr(node, 3)
    again = world.cached.getattr(node, 3)
    assert replace(again, attr_valid_ns=first.attr_valid_ns) == first
    assert again.attr_valid_ns <= first.attr_valid_ns, "no longer than the content stays"
    assert first.size == 90
    assert world.cached.read(node, 0, 0, 4096, 3) == b"00000001\n" * 10
    assert world.collector.taken == 1


def test_shown_is_what_readers_are_given() -> None:
    """Who must agree with the readers of a cached file is told the generation that these have, and they its."""
    world = World(ttl_ns=3600 * 10**9)
    shown, _until = world.cached.shown(world.containers.find(ONE), CACHED)
    node = world.node(f"{ONE}/proc/meminfo", world.cached)
    assert world.cached.getattr(node, 3).size == len(shown)
    assert world.cached.read(node, 0, 0, 4096, 3) == shown
    assert world.cached.shown(world.containers.find(ONE), CACHED)[0] == shown
    assert world.collector.taken == 1


def test_after_the_ttl_a_new_mtime() -> None:
    """A new generation has a later mtime, so that the kernel drops the pages of the old one."""
    world = World(ttl_ns=0)
    node = world.node(f"{ONE}/proc/meminfo", world.cached)
    first, second = world.cached.getattr(node, 3), world.cached.getattr(node, 3)
    assert second.mtime_ns > first.mtime_ns
    assert world.cached.read(node, 0, 0, 9, 3) == b"%08d\n" % world.collector.taken


def test_the_answer_comes_before_the_work() -> None:
    """GETATTR past the TTL announces size and mtime at once; the content is taken after the answer, and once."""
    world = World(ttl_ns=0)
    node = world.node(f"{ONE}/proc/meminfo", world.cached)
    taken = world.collector.taken
    world.cached.getattr(node, 3)
    assert world.collector.taken == taken
    world.cached.settle()
    world.cached.settle()
    assert world.collector.taken == taken + 1
    assert world.cached.read(node, 0, 0, 9, 3) == b"%08d\n" % (taken + 1)


def test_announced_and_gone() -> None:
    """A container that goes between GETATTR and READ is read once more as it was; then it is ENODEV, by GETATTR."""
    world = World(ttl_ns=0)
    node = world.node(f"{ONE}/proc/meminfo", world.cached)
    world.cached.getattr(node, 3)
    before = world.cached.read(node, 0, 0, 4096, 3)
    world.cached.getattr(node, 3)
    world.collector.error = CgroupGone("/docker/one")
    world.cached.settle()
    del world.tree.cgroups[ONE]
    assert world.cached.read(node, 0, 0, 4096, 3) == before
    with pytest.raises(OSError, match="No such device"):
        world.cached.getattr(node, 3)


def test_a_new_length_is_announced_first() -> None:
    """When the machine's own file gets longer, nobody reads more or less than was announced."""
    world = World(ttl_ns=0)
    node = world.node(f"{ONE}/proc/meminfo", world.cached)
    world.collector.taken = 10**8 - 2  # one digit more from the next but one on
    first = world.cached.getattr(node, 3)
    world.cached.settle()
    second = world.cached.getattr(node, 3)
    assert second.size == first.size
    world.cached.settle()  # between the answer and the READ
    assert len(world.cached.read(node, 0, 0, 4096, 3)) == first.size
    third = world.cached.getattr(node, 3)
    assert third.size == first.size + 10
    assert len(world.cached.read(node, 0, 0, 4096, 3)) == third.size


def test_a_successor_reads_what_was_announced() -> None:
    """Whoever serves next knows the announced length, and has bytes for it when the file of the machine grew."""
    journal = Journal(create())
    world = World()
    world.collector.taken = 10**8 - 2
    world.keep(Kept(journal, 0, "cached"))
    node = world.node(f"{ONE}/proc/meminfo", world.cached)
    announced = world.cached.getattr(node, 3)
    content = world.cached.read(node, 0, 0, 4096, 3)
    world.keep(Kept(journal, 1, "cached"))
    world.cached.restore()
    assert world.cached.read(node, 0, 0, 4096, 3) == content
    assert world.cached.getattr(node, 3).size == announced.size + 10


def test_files_of_changing_length_are_links() -> None:
    """Only what may be cached is a file there; the rest points to the open file system."""
    world = World()
    node = world.node(f"{ONE}/proc/uptime", world.cached)
    attr = world.cached.getattr(node, 3)
    assert stat.S_ISLNK(attr.mode)
    target = world.cached.readlink(node)
    assert target == f"/m/containers/{ONE}/proc/uptime".encode()
    assert attr.size == len(target)


def test_directory_times_follow_membership() -> None:
    """The directory's mtime changes when containers come or go, and only then."""
    world = World()
    before = world.cached.getattr(ROOT_NODE, 3).mtime_ns
    assert world.cached.getattr(ROOT_NODE, 3).mtime_ns == before
    del world.tree.cgroups[ONE]
    assert world.cached.getattr(ROOT_NODE, 3).mtime_ns > before
    assert names(world.cached.readdir(ROOT_NODE, 3)) == {escape_path("/docker/two").encode()}


def test_slots_survive_and_are_never_reused() -> None:
    """A restored table gives the same numbers, and new containers get numbers beyond all old ones."""
    table = SlotTable()
    first = table.slot_of(Cgroup("/a", 1, {}))
    gone = table.slot_of(Cgroup("/b", 2, {}))
    table.keep_only({("/a", 1)})
    copy = SlotTable()
    copy.from_json(table.to_json())
    assert copy.slot_of(Cgroup("/a", 1, {})) == first
    assert copy.slot_of(Cgroup("/b", 2, {})) > gone


@given(st.recursive(st.none() | st.integers() | st.text(max_size=3), lambda x: st.lists(x, max_size=3)))
def test_a_damaged_table_is_a_fresh_start(value: object) -> None:
    """Anything in the state file gives a working table."""
    table = SlotTable()
    table.from_json({"next": value, "slots": value})
    table.from_json(value)
    assert table.slot_of(Cgroup("/a", 1, {})) > 0
