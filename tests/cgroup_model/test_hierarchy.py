"""The tree of cgroups: identity across hierarchies, ancestors, walks, containers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cgroup_model.hierarchy import Cgroup, Tree
from cgroup_model.mounts import Hierarchy, Mounts, OutOfSight
from cgroup_model.source import CgroupGone, Source

V2 = frozenset({"memory", "cpu", "pids"})


@pytest.fixture
def v2(tmp_path: Path) -> Path:
    """Make the directory of a v2 hierarchy."""
    root = tmp_path / "v2"
    root.mkdir()
    return root


@pytest.fixture
def v1(tmp_path: Path) -> dict[str, Path]:
    """Make v1 hierarchies: memory, cpu with cpuacct, and pids."""
    roots = {name: tmp_path / name for name in ("memory", "cpu,cpuacct", "pids")}
    for root in roots.values():
        root.mkdir()
    return roots


def v2_mounts(root: Path, path: str = "/") -> Mounts:
    """Mount the part of a v2 hierarchy that begins at ``path``."""
    return Mounts((Hierarchy(2, str(root), path, V2),))


def v1_mounts(roots: dict[str, Path]) -> Mounts:
    """Mount each v1 hierarchy."""
    return Mounts(tuple(Hierarchy(1, str(root), "/", frozenset(name.split(","))) for name, root in roots.items()))


@pytest.fixture
def grow() -> Iterator[Callable[..., Tree]]:
    """Make trees that are closed in the end."""
    trees = []

    def make(mounts: Mounts, **options: object) -> Tree:
        trees.append(Tree(mounts, Source(budget=0), **options))  # type: ignore[arg-type]
        return trees[-1]

    yield make
    for tree in trees:
        tree.close()


def proc_cgroup(proc: Path, pid: int, text: str) -> None:
    """Write ``/proc/PID/cgroup``."""
    (proc / str(pid)).mkdir(parents=True, exist_ok=True)
    (proc / str(pid) / "cgroup").write_text(text)


# ------------------------------------------------------------------------------------------------ identity


def test_a_cgroup_is_its_path_and_inode(v2: Path, grow: Callable[..., Tree]) -> None:
    """Removed and made again under the same name is another cgroup."""
    tree = grow(v2_mounts(v2))
    (v2 / "a").mkdir()
    first = tree.cgroup("/a")
    assert first == Cgroup("/a", (v2 / "a").stat().st_ino, dict.fromkeys(["", *V2], "/a"))
    assert tree.cgroup("/a") is first
    (v2 / "a").rename(v2 / "old")
    (v2 / "a").mkdir()
    second = tree.cgroup("/a")
    assert second != first
    assert second.path == first.path


@pytest.mark.parametrize("path", ["/a/", "//a", "/a//"])
def test_one_cgroup_has_one_path(v2: Path, grow: Callable[..., Tree], path: str) -> None:
    """Spellings of a path do not multiply cgroups."""
    (v2 / "a").mkdir()
    assert grow(v2_mounts(v2)).cgroup(path).path == "/a"


@pytest.mark.parametrize("path", ["/a/../b", "/..", "/../..", "/./a", "a", "", "/a\0b"])
def test_paths_lead_nowhere_else(v2: Path, grow: Callable[..., Tree], path: str) -> None:
    """A path from a stranger never leaves the mount."""
    (v2 / "a").mkdir()
    with pytest.raises((OutOfSight, CgroupGone)):
        grow(v2_mounts(v2)).cgroup(path)


def test_a_missing_cgroup_is_gone(v2: Path, grow: Callable[..., Tree]) -> None:
    """No directory, no cgroup; a name that no file can have is none either."""
    tree = grow(v2_mounts(v2))
    for path in ("/gone", "/" + "x" * 5000):
        with pytest.raises(CgroupGone):
            tree.cgroup(path)


def test_v1_uses_the_nearest_ancestor_that_exists(v1: dict[str, Path], grow: Callable[..., Tree]) -> None:
    """A hierarchy that was not given the cgroup applies an ancestor's limits, but does not count it by itself."""
    (v1["memory"] / "a" / "b").mkdir(parents=True)
    (v1["cpu,cpuacct"] / "a").mkdir()
    cgroup = grow(v1_mounts(v1)).cgroup("/a/b")
    assert cgroup.paths == {"memory": "/a/b", "cpu": "/a", "cpuacct": "/a", "pids": "/"}
    assert [name for name in cgroup.paths if cgroup.has_own(name)] == ["memory"]


def test_v1_looks_again_while_a_hierarchy_lacks_the_cgroup(v1: dict[str, Path], grow: Callable[..., Tree]) -> None:
    """Launchers make the directories one after the other; what was missing at first is found a second later."""
    now = [0.0]
    tree = grow(v1_mounts(v1), clock=lambda: now[0])
    (v1["memory"] / "a").mkdir()
    assert tree.cgroup("/a").paths["cpu"] == "/"
    (v1["cpu,cpuacct"] / "a").mkdir()
    assert tree.cgroup("/a").paths["cpu"] == "/"
    now[0] = 1.0
    assert tree.cgroup("/a").paths["cpu"] == "/a"


def test_the_same_object_while_nothing_changes(v1: dict[str, Path], grow: Callable[..., Tree]) -> None:
    """Also a cgroup that some hierarchy never gets stays the same object, for whoever keeps things by cgroup."""
    now = [0.0]
    tree = grow(v1_mounts(v1), clock=lambda: now[0])
    (v1["memory"] / "a").mkdir()
    first = tree.cgroup("/a")
    now[0] = 1.0
    assert tree.cgroup("/a") is first


def test_the_root_counts_itself(v1: dict[str, Path], grow: Callable[..., Tree]) -> None:
    """The root is the machine, and no part of an ancestor."""
    root = grow(v1_mounts(v1)).cgroup("/")
    assert root.path == "/"
    assert all(root.has_own(name) for name in ("memory", "cpu", "pids"))


# ------------------------------------------------------------------------------------------- processes


def test_a_process_may_sit_at_another_path_in_each_hierarchy(
    v1: dict[str, Path], tmp_path: Path, grow: Callable[..., Tree]
) -> None:
    """What /proc/PID/cgroup says holds, even where the same path exists as well."""
    for root in v1.values():
        (root / "a" / "b").mkdir(parents=True)
        (root / "other").mkdir()
    proc_cgroup(tmp_path / "proc", 7, "3:pids:/a\n2:cpu,cpuacct:/other\n1:memory:/a/b\n")
    cgroup = grow(v1_mounts(v1), proc_root=str(tmp_path / "proc")).cgroup_of_pid(7)
    assert cgroup.path == "/a/b"
    assert cgroup.paths == {"memory": "/a/b", "cpu": "/other", "cpuacct": "/other", "pids": "/a"}
    assert cgroup.has_own("cpu")
    assert not cgroup.has_own("pids")


def test_a_process_on_v2(v2: Path, tmp_path: Path, grow: Callable[..., Tree]) -> None:
    """The line without controllers is v2; names may hold colons and any byte."""
    odd = "a:b \udcff"
    (v2 / odd).mkdir()
    proc_cgroup(tmp_path / "proc", 7, "")
    (tmp_path / "proc" / "7" / "cgroup").write_bytes(b"1:name=systemd:/x\n0::/a:b \xff\n")
    tree = grow(v2_mounts(v2), proc_root=str(tmp_path / "proc"))
    assert tree.cgroup_of_pid(7) == tree.cgroup("/" + odd)


def test_v1_names_are_made_canonical(tmp_path: Path, grow: Callable[..., Tree]) -> None:
    """What v1 calls blkio is io everywhere else; a named hierarchy is found by its name."""
    for name in ("blkio", "systemd"):
        (tmp_path / name / name).mkdir(parents=True)
    proc_cgroup(tmp_path / "proc", 7, "2:name=systemd:/systemd\n1:blkio:/blkio\n")
    io = Hierarchy(1, str(tmp_path / "blkio"), "/", frozenset({"io"}))
    named = Hierarchy(1, str(tmp_path / "systemd"), "/", frozenset(), "systemd")
    assert grow(Mounts((io, named)), proc_root=str(tmp_path / "proc")).cgroup_of_pid(7).path == "/blkio"
    assert grow(Mounts((named,)), proc_root=str(tmp_path / "proc")).cgroup_of_pid(7).path == "/systemd"


def test_a_process_that_ended(v2: Path, tmp_path: Path, grow: Callable[..., Tree]) -> None:
    """No process and no cgroup any more are two answers."""
    proc_cgroup(tmp_path / "proc", 7, "0::/a (deleted)\n")
    tree = grow(v2_mounts(v2), proc_root=str(tmp_path / "proc"))
    with pytest.raises(ProcessLookupError):
        tree.cgroup_of_pid(8)
    with pytest.raises(CgroupGone):
        tree.cgroup_of_pid(7)


def test_a_process_out_of_sight(v2: Path, v1: dict[str, Path], tmp_path: Path, grow: Callable[..., Tree]) -> None:
    """A cgroup outside of the mounts is refused; one that only a secondary hierarchy hides is not."""
    proc_cgroup(tmp_path / "proc", 7, "0::/elsewhere\n")
    proc_cgroup(tmp_path / "proc", 8, "1:memory:/\n")
    proc_cgroup(tmp_path / "proc", 9, "1:memory:/\n2:pids:/../x\n")
    with pytest.raises(OutOfSight):
        grow(v2_mounts(v2, "/here"), proc_root=str(tmp_path / "proc")).cgroup_of_pid(7)
    with pytest.raises(OutOfSight):
        grow(v2_mounts(v2), proc_root=str(tmp_path / "proc")).cgroup_of_pid(8)
    tree = grow(v1_mounts(v1), proc_root=str(tmp_path / "proc"))
    assert tree.cgroup_of_pid(9) == tree.cgroup("/")


# ---------------------------------------------------------------------------------------------- layout


def test_levels_go_up_to_the_mount(v2: Path, grow: Callable[..., Tree]) -> None:
    """Every visible ancestor is a level, also the mount's own cgroup when that is not the real root."""
    (v2 / "a" / "b").mkdir(parents=True)
    tree = grow(v2_mounts(v2, "/outer"))
    layout = tree.layout(tree.cgroup("/outer/a/b"))
    assert [level.path for level in layout.levels["memory"]] == ["/outer/a/b", "/outer/a", "/outer"]
    assert [dict(level.directories) for level in layout.levels["memory"]] == [
        {"memory": str(v2 / "a" / "b")},
        {"memory": str(v2 / "a")},
        {"memory": str(v2)},
    ]
    assert layout.whole == set()


def test_own_directories_are_only_those_that_count_the_cgroup(v1: dict[str, Path], grow: Callable[..., Tree]) -> None:
    """Usage of an ancestor is not the cgroup's: showing the machine's CPU time as a container's would be a lie."""
    (v1["memory"] / "a").mkdir()
    tree = grow(v1_mounts(v1))
    layout = tree.layout(tree.cgroup("/a"))
    assert layout.directories == {"memory": str(v1["memory"] / "a")}
    assert [level.path for level in layout.levels["cpu"]] == ["/"]


def test_a_layout_is_worked_out_once(v2: Path, grow: Callable[..., Tree]) -> None:
    """A hot snapshot does no path work."""
    (v2 / "a").mkdir()
    tree = grow(v2_mounts(v2))
    assert tree.layout(tree.cgroup("/a")) is tree.layout(tree.cgroup("/a"))


# ------------------------------------------------------------------------------------------- relatives


def test_ancestors_parent_first(v2: Path, grow: Callable[..., Tree]) -> None:
    """From the parent up to the root."""
    (v2 / "a" / "b" / "c").mkdir(parents=True)
    tree = grow(v2_mounts(v2))
    assert tree.ancestors(tree.cgroup("/a/b/c")) == (tree.cgroup("/a/b"), tree.cgroup("/a"), tree.cgroup("/"))
    assert tree.ancestors(tree.cgroup("/")) == ()


def test_children_and_walk(v2: Path, grow: Callable[..., Tree]) -> None:
    """Parents come before their children, siblings by name."""
    for name in ("b/x", "a"):
        (v2 / name).mkdir(parents=True)
    tree = grow(v2_mounts(v2))
    assert [cgroup.path for cgroup in tree.walk()] == ["/", "/a", "/b", "/b/x"]
    assert [cgroup.path for cgroup in tree.walk("/b")] == ["/b", "/b/x"]
    assert tree.children(tree.cgroup("/")) == [tree.cgroup("/a"), tree.cgroup("/b")]
    assert tree.children(tree.cgroup("/a")) == []


def test_walk_of_a_mount_that_begins_below_the_root(v2: Path, grow: Callable[..., Tree]) -> None:
    """In a container that is shown its own cgroup only, all of it is what is below that one."""
    (v2 / "x").mkdir()
    assert [cgroup.path for cgroup in grow(v2_mounts(v2, "/pod")).walk()] == ["/pod", "/pod/x"]


def test_children_of_a_cgroup_that_went(v2: Path, grow: Callable[..., Tree]) -> None:
    """Asking a removed cgroup for children is told from one without any."""
    (v2 / "a").mkdir()
    tree = grow(v2_mounts(v2))
    cgroup = tree.cgroup("/a")
    (v2 / "a").rmdir()
    with pytest.raises(CgroupGone):
        tree.children(cgroup)


# ------------------------------------------------------------------------------------------ containers


def below_docker(path: str) -> str | None:
    """Say that each cgroup right below /docker is a container."""
    names = path.split("/")
    return "/".join(names[:3]) if len(names) > 2 and names[1] == "docker" else None


def last_name(path: str) -> str:
    """Use the directory's name as the engine's id."""
    return path.rpartition("/")[2]


def test_containers_by_key(v2: Path, grow: Callable[..., Tree]) -> None:
    """Containers are listed under their ids, and come and go without a rescan."""
    (v2 / "docker" / "abc" / "inner").mkdir(parents=True)
    tree = grow(v2_mounts(v2), container_path=below_docker, container_id=last_name)
    assert tree.containers() == {"abc": tree.cgroup("/docker/abc")}
    assert tree.is_live
    (v2 / "docker" / "def").mkdir()
    assert set(tree.containers()) == {"abc", "def"}
    (v2 / "docker" / "def").rmdir()
    assert set(tree.containers()) == {"abc"}


def test_containers_without_ids_go_by_path(v2: Path, grow: Callable[..., Tree]) -> None:
    """Where no engine is known the escaped path is the key."""
    (v2 / "docker" / "abc").mkdir(parents=True)
    assert list(grow(v2_mounts(v2), container_path=below_docker).containers()) == ["%2Fdocker%2Fabc"]


def test_a_container_made_again_is_a_new_cgroup(v2: Path, grow: Callable[..., Tree]) -> None:
    """The mapping never gives the cgroup that was removed."""
    (v2 / "docker" / "abc").mkdir(parents=True)
    tree = grow(v2_mounts(v2), container_path=below_docker, container_id=last_name)
    first = tree.containers()["abc"]
    (v2 / "docker" / "abc").rename(v2 / "kept")  # so that the inode number is not used again
    (v2 / "docker" / "abc").mkdir()
    tree.refresh()
    assert tree.containers()["abc"] != first
    assert tree.containers()["abc"] == tree.cgroup("/docker/abc")


def test_an_unchanged_mapping_is_not_made_again(v2: Path, grow: Callable[..., Tree]) -> None:
    """Looking up one container among thousands costs one system call."""
    (v2 / "docker" / "abc").mkdir(parents=True)
    tree = grow(v2_mounts(v2), container_path=below_docker)
    assert tree.containers() is tree.containers()


def test_containers_on_v1_are_completed(v1: dict[str, Path], grow: Callable[..., Tree]) -> None:
    """A container seen before all its directories were made gets the others when they are there."""
    now = [0.0]
    tree = grow(v1_mounts(v1), container_path=below_docker, container_id=last_name, clock=lambda: now[0])
    (v1["memory"] / "docker" / "abc").mkdir(parents=True)
    assert tree.containers()["abc"].paths["pids"] == "/"
    (v1["pids"] / "docker" / "abc").mkdir(parents=True)
    now[0] = 1.0
    assert tree.containers()["abc"].paths["pids"] == "/docker/abc"


def test_containers_on_v1_settle(v1: dict[str, Path], grow: Callable[..., Tree]) -> None:
    """A hierarchy that never gets the container is not searched for it for ever; a rescan or a change looks again."""
    now = [0.0]
    tree = grow(v1_mounts(v1), container_path=below_docker, container_id=last_name, clock=lambda: now[0])
    (v1["memory"] / "docker" / "abc").mkdir(parents=True)
    tree.containers()
    now[0] = 60.0
    assert tree.containers() is tree.containers()
    (v1["pids"] / "docker" / "abc").mkdir(parents=True)
    assert tree.containers()["abc"].paths["pids"] == "/"
    tree.refresh()
    assert tree.containers()["abc"].paths["pids"] == "/docker/abc"


def test_an_event_loop_can_wait_for_changes(v2: Path, grow: Callable[..., Tree]) -> None:
    """The descriptor becomes readable, and processing says whether containers changed."""
    (v2 / "docker").mkdir()
    tree = grow(v2_mounts(v2), container_path=below_docker)
    descriptor = tree.fileno()
    assert isinstance(descriptor, int)
    assert not tree.process_events()
    (v2 / "docker" / "abc").mkdir()
    assert tree.process_events()
    assert not tree.process_events()


def test_what_is_removed_is_forgotten(v2: Path) -> None:
    """Kept descriptors of a removed cgroup are given back when its removal is noticed."""
    (v2 / "docker" / "abc").mkdir(parents=True)
    (v2 / "docker" / "abc" / "file").write_text("1\n")
    with Source(budget=10) as source:
        tree = Tree(v2_mounts(v2), source, container_path=below_docker)
        tree.containers()
        source.read(str(v2 / "docker" / "abc"), "file")
        assert source.stats.open_descriptors == 1
        (v2 / "docker" / "abc" / "file").unlink()
        (v2 / "docker" / "abc").rmdir()
        tree.process_events()
        assert source.stats.open_descriptors == 0
        tree.close()
