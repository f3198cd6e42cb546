"""Which hierarchy serves what, from mountinfo as hosts, containers and cgroup namespaces show it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgroup_model.mounts import (
    Hierarchy,
    Mounts,
    OutOfSight,
    discover_mounts,
    join_path,
    parse_mountinfo,
    split_path,
)
from cgroup_model.parse import ParseError

PID = 4242


class World:
    """A made-up /proc and /sys/fs/cgroup."""

    def __init__(self, top: Path) -> None:
        self.proc = top / "proc"
        self.cgroup = top / "cgroup"
        self.lines: list[str] = [f"20 1 0:20 / {top} rw - tmpfs tmpfs rw"]
        self.own: list[str] = []
        (self.proc / "self").mkdir(parents=True)
        self.cgroup.mkdir()

    def mount(self, where: str, root: str, kind: str, options: str = "rw", *, parent: int = 20) -> int:
        """Add a line of mountinfo and the directory; gives the mount's number."""
        number = 30 + len(self.lines)
        directory = self.cgroup / where
        directory.mkdir(parents=True, exist_ok=True)
        escaped = str(directory).replace("\\", "\\134").replace(" ", "\\040")
        self.lines.append(f"{number} {parent} 0:{number} {root} {escaped} rw shared:1 - {kind} {kind} {options}")
        if kind == "cgroup2":
            (directory / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
        return number

    def cgroup_with(self, where: str, *pids: int) -> Path:
        """Make a cgroup that lists the pids as its processes."""
        directory = self.cgroup / where
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in pids))
        return directory

    def discover(self) -> Mounts:
        """Read it all."""
        (self.proc / "self/mountinfo").write_text("\n".join(self.lines) + "\n")
        (self.proc / "self/cgroup").write_text("".join(f"{line}\n" for line in self.own))
        return discover_mounts(str(self.proc), pid=PID)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Return an empty world."""
    return World(tmp_path)


def only(mounts: Mounts) -> Hierarchy:
    """Return the one hierarchy there is."""
    (hierarchy,) = mounts.hierarchies
    return hierarchy


def test_v2_alone(world: World) -> None:
    """One cgroup2 mount serves all its controllers and the core, and names the containers."""
    world.mount("", "/", "cgroup2")
    mounts = world.discover()
    assert mounts.world == "v2"
    assert mounts.for_controller("memory") is mounts.for_controller("") is mounts.primary
    assert mounts.for_controller("cpuacct") is None
    assert mounts.primary.directory("/a/b") == f"{world.cgroup}/a/b"
    assert mounts.primary.directory("/") == str(world.cgroup)


def test_v1_with_joint_controllers(world: World) -> None:
    """``cpu,cpuacct`` is one hierarchy that serves both; blkio is called io; named ones serve nothing."""
    world.mount("cpu,cpuacct", "/", "cgroup", "rw,cpu,cpuacct")
    world.mount("blkio", "/", "cgroup", "rw,blkio")
    world.mount("systemd", "/", "cgroup", "rw,xattr,name=systemd")
    mounts = world.discover()
    assert mounts.world == "v1"
    assert mounts.for_controller("cpu") is mounts.for_controller("cpuacct") is mounts.primary
    assert mounts.for_controller("io") is not None
    assert mounts.for_controller("") is None
    assert [one.name for one in mounts.hierarchies] == [None, None, "systemd"]


def test_hybrid_decides_per_controller(world: World) -> None:
    """What v1 serves is v1, the rest and the core are v2; a v2 without memory and pids does not name containers."""
    world.mount("memory", "/", "cgroup", "rw,memory")
    world.mount("unified", "/", "cgroup2")
    (world.cgroup / "unified/cgroup.controllers").write_text("hugetlb\n")
    mounts = world.discover()
    assert mounts.world == "hybrid"
    assert {name: one.version for name in ("memory", "hugetlb", "") if (one := mounts.for_controller(name))} == {
        "memory": 1,
        "hugetlb": 2,
        "": 2,
    }
    assert mounts.primary.controllers == {"memory"}


def test_systemd_hierarchy_beside_v2_is_not_hybrid(world: World) -> None:
    """A named v1 hierarchy serves no controller."""
    world.mount("", "/", "cgroup2")
    world.mount("systemd", "/", "cgroup", "rw,name=systemd")
    assert world.discover().world == "v2"


def test_without_any_mount_there_is_no_primary(world: World) -> None:
    """It is said, not invented."""
    mounts = world.discover()
    with pytest.raises(OutOfSight, match="mounted"):
        _ = mounts.primary


def test_octal_escapes(world: World) -> None:
    """Blanks and backslashes in a mount point are read back."""
    world.mount("with blank \\ and more", "/", "cgroup2")
    assert only(world.discover()).mountpoint == f"{world.cgroup}/with blank \\ and more"


def test_subtree_mount_maps_only_its_subtree(world: World) -> None:
    """A container without a cgroup namespace sees ``/docker/abc`` mounted; others are out of sight."""
    world.mount("memory", "/docker/abc", "cgroup", "rw,memory")
    hierarchy = only(world.discover())
    assert hierarchy.directory("/docker/abc/x") == f"{world.cgroup}/memory/x"
    assert hierarchy.directory("/docker/abc") == f"{world.cgroup}/memory"
    for path in ("/docker", "/docker/abcd", "/", "/../docker/abc"):
        with pytest.raises(OutOfSight):
            hierarchy.directory(path)


def test_of_several_mounts_the_one_that_shows_most_is_used(world: World) -> None:
    """A bind mount of a container's subtree does not hide the whole hierarchy."""
    world.mount("sub", "/docker/abc", "cgroup2")
    world.mount("whole", "/", "cgroup2")
    world.mount("other", "/docker", "cgroup2")
    assert only(world.discover()).mountpoint == f"{world.cgroup}/whole"


def test_mount_that_another_covers_is_not_used(world: World) -> None:
    """A mount point under a later mount is unreachable, however much it would show."""
    world.mount("a/whole", "/", "cgroup2")
    world.lines.append(f"90 20 0:90 / {world.cgroup}/a rw - tmpfs tmpfs rw")
    world.mount("b", "/part", "cgroup2")
    assert only(world.discover()).mountpoint == f"{world.cgroup}/b"


def test_mount_stacked_on_the_same_point_wins(world: World) -> None:
    """The upper one of two mounts on one directory is what a path reaches."""
    lower = world.mount("same", "/", "cgroup2")
    world.mount("same", "/sub", "cgroup2", parent=lower)
    assert only(world.discover()).root == "/sub"


def test_cgroup_root_narrows_the_choice(world: World) -> None:
    """With ``cgroup_root`` only mounts at or below it count."""
    world.mount("host", "/", "cgroup2")
    world.mount("mine", "/", "cgroup", "rw,memory")
    world.discover()
    mounts = discover_mounts(str(world.proc), f"{world.cgroup}/mine", pid=PID)
    assert only(mounts).version == 1


def test_namespace_below_the_mount_is_located_by_our_pid(world: World) -> None:
    """With the host's mount in a cgroup namespace, the cgroup that holds us leads to siblings and ancestors."""
    world.mount("", "/../..", "cgroup2")
    world.own = ["0::/"]
    world.cgroup_with("docker/other", 1)
    world.cgroup_with("docker/mine", PID)
    hierarchy = only(world.discover())
    assert hierarchy.position == ("docker", "mine")
    assert hierarchy.directory("/") == f"{world.cgroup}/docker/mine"
    assert hierarchy.directory("/sub") == f"{world.cgroup}/docker/mine/sub"
    assert hierarchy.directory("/../other") == f"{world.cgroup}/docker/other"
    assert hierarchy.directory("/../../system.slice") == f"{world.cgroup}/system.slice"
    with pytest.raises(OutOfSight):
        hierarchy.directory("/../../../up")


def test_namespace_is_located_from_a_process_outside_of_it(world: World) -> None:
    """A process that was moved to a sibling of its namespace's root still tells where the parent is."""
    world.mount("", "/../..", "cgroup2")
    world.own = ["0::/../other/deep"]
    world.cgroup_with("docker/other/deep", PID)
    hierarchy = only(world.discover())
    assert hierarchy.directory("/../other") == f"{world.cgroup}/docker/other"
    with pytest.raises(OutOfSight):
        hierarchy.directory("/inside")


def test_namespace_that_cannot_be_located_is_out_of_sight(world: World) -> None:
    """When no visible cgroup holds us nothing is guessed; what the mount itself names still works."""
    world.mount("", "/..", "cgroup2")
    world.own = ["0::/"]
    world.cgroup_with("other", 1)
    hierarchy = only(world.discover())
    assert hierarchy.position == ()
    assert hierarchy.directory("/../other") == f"{world.cgroup}/other"
    with pytest.raises(OutOfSight):
        hierarchy.directory("/")


def test_mount_inside_the_namespace_shows_no_siblings(world: World) -> None:
    """A container's own mount has root ``/``: ``/../sibling`` is out of sight."""
    world.mount("", "/", "cgroup2")
    world.own = ["0::/"]
    with pytest.raises(OutOfSight):
        only(world.discover()).directory("/../sibling")


@pytest.mark.parametrize("path", ["", "a", "/a/../b", "/a/..", "/./a", "/a\0"])
def test_paths_that_would_leave_their_place_are_refused(path: str) -> None:
    """``..`` stands at the front or nowhere; no NUL; absolute."""
    with pytest.raises(OutOfSight):
        Hierarchy(2, "/sys/fs/cgroup", "/", frozenset()).directory(path)


NAMES = st.lists(
    st.text(min_size=1, max_size=5).filter(lambda name: not set(name) & set("/\0") and name not in "..")
).map(tuple)


@given(up=st.integers(0, 4), names=NAMES)
def test_join_inverts_split(up: int, names: tuple[str, ...]) -> None:
    """A path survives being taken apart."""
    assert split_path(join_path(up, names)) == (up, names)


@given(names=NAMES, root=st.sampled_from(["/", "/..", "/../..", "/docker/abc", "/../other"]))
def test_path_inverts_directory(names: tuple[str, ...], root: str) -> None:
    """Every directory below the mount has one path, and that path leads back to it."""
    hierarchy = Hierarchy(2, "/sys/fs/cgroup", root, frozenset(), position=("docker", "mine")[: root.count("..")])
    directory = "/".join(("/sys/fs/cgroup", *names))
    assert hierarchy.directory(hierarchy.path(directory)) == directory


@pytest.mark.parametrize("directory", ["/sys/fs", "/sys/fs/cgroup2", "/sys/fs/cgroup/../etc", "/sys/fs/cgroup/./a"])
def test_directories_elsewhere_have_no_path(directory: str) -> None:
    """Only what lies below the mount point belongs to the hierarchy."""
    with pytest.raises(OutOfSight):
        Hierarchy(2, "/sys/fs/cgroup", "/", frozenset()).path(directory)


LINES = st.sampled_from(
    [
        b"36 31 0:33 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory",
        b"1 1 0:1 / / rw - x x rw",
        b" - ",
        b"\\777",
        b"\n",
    ]
)


@given(data=st.one_of(st.binary(), st.lists(st.one_of(LINES, st.binary(max_size=4))).map(b" ".join)))
def test_any_mountinfo_gives_mounts_or_a_parse_error(data: bytes) -> None:
    """Nothing but `ParseError` comes out of a hostile mountinfo."""
    try:
        parse_mountinfo(data)
    except ParseError:
        return


def test_this_machine_has_cgroups() -> None:
    """The real files are understood, and every mount point found is a directory."""
    mounts = discover_mounts()
    assert mounts.hierarchies
    for hierarchy in mounts.hierarchies:
        assert Path(hierarchy.mountpoint).is_dir()
