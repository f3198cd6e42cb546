"""Files that not every container has, and folders whose files depend on the container. No mount is needed."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from cgroup_model.keys import escape_path
from cgroup_model.layout import Cgroup
from cgroup_model.snapshot import Host, Need, ShownCpus, Snapshot
from cgroup_model.source import CgroupGone
from procfs_fuse.contents import Contents, HostFiles
from procfs_fuse.filesystem import CachedFileSystem, Containers, OpenFileSystem
from procfs_fuse.identity import SlotTable
from procfs_fuse.layout import Layout
from procfs_fuse.transport import ROOT_NODE
from procfs_fuse.views import Tree, View

OWN = View("proc/own", Need.AGE, lambda _: b"own\n", exists=lambda snapshot: snapshot.age_seconds is not None)
SECRET = View("proc/secret", Need.AGE, lambda _: b"s\n", 0o400, exists=lambda _: False, SECRET=True)
COMMON = View("sys/cpu/online", Need.CPUS, lambda snapshot: b"%d\n" % (snapshot.cpus.count if snapshot.cpus else 0))
ONE, TWO = escape_path("/docker/one"), escape_path("/docker/two")


def folders(key: int) -> Iterable[View]:
    """Name a folder per CPU."""
    return [View(f"sys/cpu/cpu{n}/id", Need.NOTHING, lambda _, n=n: b"%d\n" % n) for n in range(key)]  # type: ignore[misc]


CPUS = Tree("sys/cpu", Need.CPUS, lambda snapshot: snapshot.cpus.count if snapshot.cpus else 9, folders)


class Machine:
    """Containers with as many CPUs as told; the first has no age, the host no container."""

    def __init__(self) -> None:
        self.cpus = {"/docker/one": 1, "/docker/two": 3}
        self.failing: Exception | None = None
        self.cgroups = {escape_path(path): Cgroup(path, number, {}) for number, path in enumerate(self.cpus, 100)}

    def snapshot(self, cgroup: Cgroup, needs: Need) -> Snapshot:
        """Answer, or fail as told."""
        if self.failing is not None:
            raise self.failing
        cpus = tuple(range(self.cpus[cgroup.path]))
        age = 1.0 if cgroup.path == "/docker/two" else None
        return Snapshot(cgroup.path, Host(), age_seconds=age, cpus=ShownCpus(cpus, cpus, None) if needs else None)

    def machine(self, _needs: Need) -> Snapshot:
        """Nine CPUs."""
        return Snapshot("/", Host())

    def open_pressure(self, cgroup: Cgroup, resource: str) -> int:
        """Nobody writes triggers here."""
        raise NotImplementedError(cgroup, resource)

    def containers(self) -> Mapping[str, Cgroup]:
        """Both."""
        return self.cgroups

    def find(self, key: str) -> Cgroup:
        """One of them."""
        return self.cgroups[key]

    def cgroup(self, path: str) -> Cgroup:
        """The one with this path."""
        return self.find(escape_path(path))

    def is_alive(self, cgroup: Cgroup) -> bool:
        """All are."""
        return cgroup in self.cgroups.values()

    def container_of(self, pid: int) -> Cgroup | None:
        """Callers 1 and 2 are in the containers, 3 is the host's, 4 is in one that is gone."""
        if pid == 4:
            raise CgroupGone("/docker/four")
        return {1: self.cgroups[ONE], 2: self.cgroups[TWO]}.get(pid)


class World:
    """Both file systems."""

    def __init__(self, root: Path) -> None:
        self.machine = Machine()
        for view in (OWN, SECRET, COMMON, View("sys/cpu/cpu8/id", Need.NOTHING, lambda _: b"")):
            (root / view.PATH).parent.mkdir(parents=True, exist_ok=True)
            (root / view.PATH).write_text("the machine's\n")
        views = (OWN, SECRET, COMMON)
        layout = Layout(views, (CPUS,))
        contents = Contents(self.machine, HostFiles(views, proc_root=f"{root}/proc", sys_root=f"{root}/sys"))
        containers = Containers(self.machine, SlotTable())
        self.open = OpenFileSystem(layout, containers, contents, self.machine.container_of)
        self.cached = CachedFileSystem(layout, containers, contents, open_mountpoint="/m", ttl_ns=0)

    def walk(self, path: str, pid: int = 3) -> int:
        """Return the node of a path on the open file system."""
        node = ROOT_NODE
        for name in path.split("/"):
            node = self.open.lookup(node, name.encode(), pid).ino
        return node

    def names(self, path: str, pid: int = 3) -> set[bytes]:
        """List a directory."""
        return {entry.name for entry in self.open.readdir(self.walk(path, pid), pid)}

    def cat(self, path: str, pid: int = 3) -> bytes:
        """Read a file."""
        node = self.walk(path, pid)
        handle = self.open.open(node, os.O_RDONLY, pid)
        try:
            return self.open.read(node, handle, 0, 4096, pid)
        finally:
            self.open.release(node, handle)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Return both file systems over a machine."""
    return World(tmp_path)


def test_a_file_that_the_container_lacks_cannot_be_opened(world: World) -> None:
    """Opening it fails with EOPNOTSUPP, by name and by caller; the other container has it."""
    for path, pid in ((f"containers/{ONE}/proc/own", 3), ("proc/own", 1)):
        with pytest.raises(OSError, match="not supported") as caught:
            world.open.open(world.walk(path, pid), os.O_RDONLY, pid)
        assert caught.value.errno == errno.EOPNOTSUPP
    assert world.open.open_handles == 0
    assert world.cat(f"containers/{TWO}/proc/own") == world.cat("proc/own", 2) == b"own\n"
    assert world.cat("proc/own", 3) == b"the machine's\n"


def test_it_is_not_listed_so_that_nobody_binds_it(world: World) -> None:
    """Launchers bind what is listed; a file whose machine's version is a secret is bound in any case."""
    assert world.names(f"containers/{ONE}/proc") == {b"secret"}
    assert world.names(f"containers/{TWO}/proc") == {b"own", b"secret"}
    top = world.cached.lookup(ROOT_NODE, ONE.encode(), 3).ino
    proc = world.cached.lookup(top, b"proc", 3).ino
    assert [entry.name for entry in world.cached.readdir(proc, 3)] == [b"secret"]


@pytest.mark.parametrize("error", [ValueError("garbled"), OSError(errno.EIO, "broken")])
def test_the_machines_file_never_stands_in(world: World, error: Exception) -> None:
    """Whatever fails, and for a caller that cannot be told: no file rather than the machine's."""
    world.machine.failing = error
    for path, pid in ((f"containers/{TWO}/proc/own", 3), ("proc/own", 4), ("proc/secret", 4)):
        with pytest.raises(OSError, match="not supported"):
            world.cat(path, pid)


def test_a_folder_has_the_files_of_its_container(world: World) -> None:
    """By name and by caller; the files that all have are beside them."""
    assert world.names(f"containers/{ONE}/sys/cpu") == world.names("sys/cpu", 1) == {b"online", b"cpu0"}
    assert world.names("sys/cpu", 2) == {b"online", b"cpu0", b"cpu1", b"cpu2"}
    assert world.cat("sys/cpu/cpu2/id", 2) == b"2\n"
    assert world.cat(f"containers/{TWO}/sys/cpu/online") == b"3\n"
    with pytest.raises(OSError, match="No such file"):
        world.walk("sys/cpu/cpu2/id", 1)


def test_the_machine_sees_its_own_folder(world: World) -> None:
    """A reader outside of containers gets the machine's own files."""
    assert len(world.names("sys/cpu", 3)) == 10
    assert world.cat("sys/cpu/cpu8/id", 3) == b"the machine's\n"


def test_nothing_is_remembered_of_a_name_that_others_may_not_have(world: World) -> None:
    """In the callers' tree the kernel asks every time; a file that all have it may keep."""
    parent = world.walk("sys/cpu", 2)
    changing, common = world.open.lookup(parent, b"cpu2", 2), world.open.lookup(parent, b"online", 2)
    assert (changing.entry_valid_ns, changing.attr_valid_ns) == (0, 0)
    assert common.entry_valid_ns > 0
    with pytest.raises(OSError, match="No such file"):
        world.open.getattr(changing.ino, 1)


def test_a_cpu_that_goes_takes_its_files_along(world: World) -> None:
    """A node id that was looked up before names nothing then, and the same file again when it comes back."""
    node = world.walk(f"containers/{TWO}/sys/cpu/cpu2/id")
    world.machine.cpus["/docker/two"] = 2
    with pytest.raises(OSError, match="No such file"):
        world.open.getattr(node, 3)
    world.machine.cpus["/docker/two"] = 3
    assert stat.S_ISREG(world.open.getattr(node, 3).mode)


def test_the_cached_file_system_links_to_the_folder(world: World) -> None:
    """Its pages and listings are kept by the kernel, so a folder that changes is not there itself."""
    top = world.cached.lookup(ROOT_NODE, ONE.encode(), 3).ino
    folder = world.cached.lookup(world.cached.lookup(top, b"sys", 3).ino, b"cpu", 3)
    assert stat.S_ISLNK(folder.mode)
    assert world.cached.readlink(folder.ino) == f"/m/containers/{ONE}/sys/cpu".encode()
