"""Snapshots of trees made of files, v1 and v2."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cgroup_model.collect import Collector
from cgroup_model.hierarchy import Cgroup, Tree
from cgroup_model.host import HostFiles
from cgroup_model.mounts import Hierarchy, Mounts
from cgroup_model.snapshot import (
    UNLIMITED,
    Cpu,
    CpuTime,
    CpuTimes,
    Load,
    Need,
    Policy,
    ShownCpus,
    Tasks,
)
from cgroup_model.source import CgroupGone, Missing, Source

ALL = ~Need.NOTHING
V2 = frozenset({"memory", "cpu", "cpuset", "io", "pids", "hugetlb"})

V2_FILES = {
    "cgroup.controllers": "cpu memory pids\n",
    "cgroup.events": "populated 1\nfrozen 0\n",
    "cgroup.freeze": "0\n",
    "cgroup.stat": "nr_descendants 0\nnr_dying_descendants 0\n",
    "cgroup.type": "domain\n",
    "cpu.max": "max 100000\n",
    "cpu.pressure": "some avg10=1.00 avg60=2.00 avg300=3.00 total=4\n",
    "cpu.stat": "usage_usec 30\nuser_usec 20\nsystem_usec 10\n",
    "cpu.weight": "100\n",
    "cpuset.cpus": "\n",
    "cpuset.cpus.effective": "0-3\n",
    "cpuset.mems": "\n",
    "cpuset.mems.effective": "0\n",
    "hugetlb.2MB.current": "0\n",
    "hugetlb.2MB.max": "max\n",
    "io.stat": "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n",
    "memory.current": "1000\n",
    "memory.high": "max\n",
    "memory.low": "0\n",
    "memory.max": "max\n",
    "memory.min": "0\n",
    "memory.stat": "anon 600\nfile 400\nactive_file 100\ninactive_file 200\nslab_reclaimable 50\n",
    "memory.swap.current": "10\n",
    "memory.swap.max": "max\n",
    "pids.current": "3\n",
    "pids.max": "max\n",
}


def make_cgroup(directory: Path, **files: str) -> Path:
    """Make a v2 cgroup of files; names are given with "_" for ".", and replace the usual content."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in {**V2_FILES, **{name.replace("_", "."): text for name, text in files.items()}}.items():
        (directory / name).write_text(content)
    return directory


def spied(source: Source, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """List (directory, name) of all that is read from now on."""
    read: list[tuple[str, str]] = []
    one, many = source.read, source.read_all

    def read_one(directory: str, name: str) -> bytes:
        read.append((directory, name))
        return one(directory, name)

    def read_many(directory: str, names: Sequence[str], *, keep: bool = True) -> tuple[bytes | None, ...]:
        read.extend((directory, name) for name in names)
        return many(directory, names, keep=keep)

    monkeypatch.setattr(source, "read", read_one)
    monkeypatch.setattr(source, "read_all", read_many)
    return read


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Make the directory of a hierarchy."""
    root = tmp_path / "cgroup"
    root.mkdir()
    return root


@pytest.fixture
def host(tmp_path: Path) -> Iterator[HostFiles]:
    """Make a machine with six CPUs, of which one is off."""
    (tmp_path / "sys" / "devices" / "system" / "cpu").mkdir(parents=True)
    (tmp_path / "sys" / "devices" / "system" / "cpu" / "online").write_text("0-2,4-5\n")
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "meminfo").write_text("MemTotal: 1 kB\n")
    with HostFiles(str(tmp_path / "proc"), str(tmp_path / "sys")) as files:
        yield files


@pytest.fixture
def source() -> Iterator[Source]:
    """Read files without keeping them open, so that tests may replace them."""
    with Source(budget=0, absent_seconds=0) as source:
        yield source


class World:
    """A tree, what collects from it, and how to look at one cgroup."""

    def __init__(self, mounts: Mounts, source: Source, host: HostFiles, **options: object) -> None:
        self.tree = Tree(mounts, source)
        self.collector = Collector(self.tree, source, host, clock=lambda: 42.0, **options)  # type: ignore[arg-type]

    def __getitem__(self, path: str) -> Cgroup:
        """Find a cgroup."""
        return self.tree.cgroup(path)


@pytest.fixture
def world(root: Path, source: Source, host: HostFiles) -> World:
    """Mount the hierarchy as v2, inside of a cgroup namespace: a tree of files has no real root."""
    return World(Mounts((Hierarchy(2, str(root), "/", V2),)), source, host)


# ----------------------------------------------------------------------------------------------- parts


def test_a_snapshot_has_what_was_asked_for(root: Path, world: World) -> None:
    """Each need brings its part; everything else stays None."""
    make_cgroup(root)
    make_cgroup(root / "a")
    parts = {
        Need.MEMORY: {"memory", "memory_bounds"},
        Need.CPU: {"cpu"},
        Need.CPUS: {"cpus"},
        Need.CPUSET: {"cpuset"},
        Need.IO: {"io"},
        Need.PIDS: {"pids"},
        Need.PRESSURE: {"pressure"},
        Need.HUGETLB: {"hugetlb"},
        Need.CORE: {"core"},
        Need.NOTHING: set(),
    }
    for need, names in parts.items():
        snapshot = world.collector.snapshot(world["/a"], need)
        optional = [
            name for name in snapshot.__dataclass_fields__ if name not in {"path", "host", "policy", "taken_at"}
        ]
        assert {name for name in optional if getattr(snapshot, name) is not None} == names
    assert world.collector.problems == {}


def test_a_snapshot_says_whose_and_when(root: Path, world: World) -> None:
    """Path, time, policy and the host's part are always there."""
    make_cgroup(root / "a")
    snapshot = world.collector.snapshot(world["/a"], Need.HOST_MEMINFO)
    assert (snapshot.path, snapshot.taken_at, snapshot.policy) == ("/a", 42.0, Policy())
    assert snapshot.host.meminfo == b"MemTotal: 1 kB\n"


def test_the_detail_of_memory_is_read_only_when_needed(root: Path, world: World) -> None:
    """Half of the memory controller's files say nothing that meminfo shows, and each read of it would pay for them."""
    make_cgroup(root / "a", memory_peak="1500\n")
    usual = world.collector.snapshot(world["/a"], Need.MEMORY).memory
    detailed = world.collector.snapshot(world["/a"], Need.MEMORY_DETAIL).memory
    assert usual is not None
    assert detailed is not None
    assert (usual.peak, usual.low) == (None, None)
    assert (detailed.peak, detailed.low) == (1500, 0)
    assert replace(detailed, peak=None, low=None, min=None) == usual


@pytest.mark.parametrize("size", [0, 8192])
def test_a_machine_without_swap_or_huge_pages_is_not_asked_for_its_parts(
    root: Path, tmp_path: Path, world: World, size: int
) -> None:
    """Where the machine has none of something the files that divide it up are not read; detail has them anyway."""
    lines = (f"{name + ':':<15}{size:>9} kB\n" for name in ("SwapTotal", "Hugetlb"))
    (tmp_path / "proc" / "meminfo").write_text("MemTotal: 1 kB\n" + "".join(lines))
    make_cgroup(root / "a", memory_max="5000\n", memory_swap_max="100\n", memory_swap_current="7\n")
    usual = world.collector.snapshot(world["/a"], Need.MEMORY | Need.HUGETLB | Need.HOST_MEMINFO)
    detailed = world.collector.snapshot(world["/a"], Need.MEMORY_DETAIL | Need.HOST_MEMINFO)
    assert usual.memory is not None
    assert usual.memory_bounds is not None
    assert detailed.memory_bounds is not None
    assert (usual.memory.swap_max, usual.memory.swap_current) == ((100, 7) if size else (None, None))
    assert (usual.memory_bounds.swap_max, usual.memory_bounds.swap_free) == ((100, 93) if size else (None, None))
    assert bool(usual.hugetlb) is bool(size)
    assert (detailed.memory_bounds.swap_max, detailed.memory_bounds.swap_free) == (100, 93)


def test_a_cgroup_is_looked_for_only_after_something_was_opened(
    root: Path, host: HostFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Descriptors that were open when the cgroup was seen are its own; what was opened since needs a look."""
    make_cgroup(root / "a")
    make_cgroup(root / "b")
    with Source(budget=100) as source:
        world = World(Mounts((Hierarchy(2, str(root), "/", V2),)), source, host)
        looked: list[str] = []
        original = world.tree.is_alive

        def spy(cgroup: Cgroup) -> bool:
            looked.append(cgroup.path)
            return original(cgroup)

        monkeypatch.setattr(world.tree, "is_alive", spy)
        for path in ("/a", "/a", "/b", "/a", "/a"):
            world.collector.snapshot(world[path], Need.MEMORY)
        assert looked == ["/a", "/b", "/a"]


def test_nothing_that_was_read_is_no_proof_of_life(root: Path, host: HostFiles) -> None:
    """A cgroup without any files of its own is looked for each time."""
    (root / "a").mkdir(parents=True)
    with Source(budget=100) as source:
        world = World(Mounts((Hierarchy(2, str(root), "/", V2),)), source, host)
        cgroup = world["/a"]
        assert world.collector.snapshot(cgroup, Need.MEMORY).memory is None
        (root / "a").rmdir()
        with pytest.raises(CgroupGone):
            world.collector.snapshot(cgroup, Need.MEMORY)


def test_each_file_is_read_once(root: Path, source: Source, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A snapshot of everything does not read the same file twice, so that its parts agree with one another."""
    make_cgroup(root, memory_max="9000\n")
    make_cgroup(root / "a", memory_max="5000\n")
    read = spied(source, monkeypatch)
    world.collector.snapshot(world["/a"], ALL)
    assert sorted(set(read)) == sorted(read)


# --------------------------------------------------------------------------------------------- ancestors
#
#   /            memory max          cpu max
#   └── pod      memory 5000         cpu 1.5     pids 40      cpuset 0-1,4
#       ├── web  memory max          cpu max     pids max     cpuset 0-1,4
#       └── db   memory 8000


@pytest.fixture
def pod(root: Path) -> Path:
    """Make the tree drawn above."""
    make_cgroup(root)
    make_cgroup(
        root / "pod",
        memory_max="5000\n",
        memory_current="4500\n",
        memory_swap_max="100\n",
        memory_swap_current="70\n",
        cpu_max="150000 100000\n",
        cpuset_cpus_effective="0-1,4\n",
        pids_max="40\n",
    )
    make_cgroup(root / "pod" / "web", cpuset_cpus_effective="0-1,4\n")
    make_cgroup(root / "pod" / "db", memory_max="8000\n", memory_current="2000\n", memory_high="2100\n")
    return root / "pod"


@pytest.mark.usefixtures("pod")
def test_limits_of_ancestors_bind(world: World) -> None:
    """A container without limits of its own has those of its pod, and what its siblings left of them."""
    snapshot = world.collector.snapshot(world["/pod/web"], ALL)
    bounds = snapshot.memory_bounds
    assert snapshot.memory is not None
    assert bounds is not None
    assert snapshot.memory.max is UNLIMITED
    assert (bounds.max, bounds.max_origin) == (5000, "/pod")
    assert (bounds.free, bounds.available, bounds.available_working_set) == (500, 850, 750)
    assert (bounds.swap_max, bounds.swap_max_origin, bounds.swap_free) == (100, "/pod", 30)
    assert snapshot.pids is not None
    assert (snapshot.pids.max, snapshot.pids.effective_max, snapshot.pids.effective_max_origin) == (
        UNLIMITED,
        40,
        "/pod",
    )


@pytest.mark.usefixtures("pod")
def test_the_tightest_level_counts(world: World) -> None:
    """Own limits above the pod's bind nobody; ``high`` binds what is available."""
    bounds = world.collector.snapshot(world["/pod/db"], Need.MEMORY).memory_bounds
    assert bounds is not None
    assert (bounds.max, bounds.max_origin, bounds.high, bounds.high_origin) == (5000, "/pod", 2100, "/pod/db")
    assert (bounds.free, bounds.available) == (500, 450)


@pytest.mark.usefixtures("pod")
def test_memory_stat_of_ancestors_is_read_only_below_a_limit(
    root: Path, world: World, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    """memory.stat is the costly file: only levels with a limit are asked for it."""
    read = spied(source, monkeypatch)
    world.collector.snapshot(world["/pod/web"], Need.MEMORY)
    assert [os.path.relpath(directory, root) for directory, name in read if name == "memory.stat"] == ["pod/web", "pod"]


@pytest.mark.usefixtures("pod")
def test_shown_cpus(world: World) -> None:
    """The cpuset's CPUs that are online, as many as the pod's quota rounded up."""
    cpus = world.collector.snapshot(world["/pod/web"], Need.CPUS).cpus
    assert cpus == ShownCpus(physical=(0, 1), usable=(0, 1, 4), quota_cpus=1.5, quota_origin="/pod")


@pytest.mark.usefixtures("pod")
def test_the_operator_may_show_the_cpuset(root: Path, source: Source, host: HostFiles) -> None:
    """Policy ``cpuset`` does not cut to the quota."""
    world = World(Mounts((Hierarchy(2, str(root), "/", V2),)), source, host, policy=Policy(cpu_view="cpuset"))
    snapshot = world.collector.snapshot(world["/pod/web"], Need.CPUS)
    assert snapshot.policy == Policy(cpu_view="cpuset")
    assert snapshot.cpus is not None
    assert snapshot.cpus.physical == (0, 1, 4)


@pytest.mark.parametrize(
    ("effective", "usable"), [("0-3\n", (0, 1, 2)), ("3\n", (4,)), ("\n", (4,)), (None, (4,)), ("9-12\n", (4,))]
)
def test_usable_cpus_come_from_the_nearest_cpuset_that_has_some(
    root: Path, world: World, effective: str | None, usable: tuple[int, ...]
) -> None:
    """A cpuset that is missing, empty or wholly offline says nothing; its parent does."""
    make_cgroup(root, cpuset_cpus_effective="4\n")
    make_cgroup(root / "a", cpuset_cpus_effective=effective or "")
    if effective is None:
        (root / "a" / "cpuset.cpus.effective").unlink()
    cpus = world.collector.snapshot(world["/a"], Need.CPUS).cpus
    assert cpus is not None
    assert cpus.usable == usable


def test_without_any_cpuset_all_online_cpus_are_usable(root: Path, source: Source, host: HostFiles) -> None:
    """No controller, no restriction."""
    make_cgroup(root / "a")
    world = World(Mounts((Hierarchy(2, str(root), "/", frozenset({"memory"})),)), source, host)
    assert world.collector.snapshot(world["/a"], Need.CPUS).cpus == ShownCpus((0, 1, 2, 4, 5), (0, 1, 2, 4, 5), None)


def test_ancestors_bind_where_the_cgroup_has_no_controller(root: Path, world: World) -> None:
    """On v2 a controller may be off in the cgroup itself; an ancestor's limit holds all the same."""
    make_cgroup(root)
    make_cgroup(root / "pod", memory_max="5000\n", pids_max="7\n", cpu_max="100000 100000\n")
    (root / "pod" / "bare").mkdir()
    snapshot = world.collector.snapshot(world["/pod/bare"], ALL)
    assert snapshot.memory is None
    assert snapshot.memory_bounds is not None
    assert snapshot.memory_bounds.max == 5000
    assert snapshot.pids is not None
    assert (snapshot.pids.current, snapshot.pids.effective_max) == (None, 7)
    assert snapshot.cpus is not None
    assert snapshot.cpus.count == 1


def test_many_cgroups_share_the_reads_of_their_ancestors(
    root: Path, world: World, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scrape of a thousand containers in one pod reads the pod once, and each container's limit once."""
    make_cgroup(root)
    make_cgroup(root / "pod", memory_max="5000\n")
    for name in "abc":
        make_cgroup(root / "pod" / name)
    spy = spied(source, monkeypatch)
    snapshots = dict(world.collector.snapshots(world.tree.walk("/pod"), Need.MEMORY))
    assert [cgroup.path for cgroup in snapshots] == ["/pod", "/pod/a", "/pod/b", "/pod/c"]
    read = [os.path.relpath(directory, root) for directory, name in spy if name == "memory.max"]
    assert sorted(set(read)) == [".", "pod", "pod/a", "pod/b", "pod/c"]
    assert len(read) == len(set(read))
    for cgroup, snapshot in snapshots.items():
        assert snapshot == world.collector.snapshot(cgroup, Need.MEMORY)


# ------------------------------------------------------------------------------------------------ errors


def test_a_removed_cgroup_is_the_callers_matter(root: Path, world: World) -> None:
    """Gone is not unknown: whoever asked decides whether to show the last values or to forget the container."""
    make_cgroup(root / "a")
    cgroup = world["/a"]
    (root / "a").rename(root / "gone")
    for need in (Need.MEMORY, Need.CPUS, Need.PIDS, Need.CORE, ALL):
        with pytest.raises(CgroupGone):
            world.collector.snapshot(cgroup, need)
    make_cgroup(root / "b")
    assert [cgroup.path for cgroup, _ in world.collector.snapshots([cgroup, world["/b"]], ALL)] == ["/b"]
    assert world.collector.problems == {}


def test_what_is_unreadable_is_unknown_and_counted(root: Path, world: World, caplog: pytest.LogCaptureFixture) -> None:
    """One broken file costs its own part; it is counted each time, and logged once per cgroup and reason."""
    caplog.set_level(logging.INFO)
    make_cgroup(root)
    make_cgroup(root / "a", pids_current="many\n", cpu_stat="usage_usec -5\n")
    (root / "a" / "cgroup.events").unlink()
    (root / "a" / "cgroup.events").mkdir()
    (root / "a" / "io.stat").unlink()
    for _ in range(3):
        snapshot = world.collector.snapshot(world["/a"], ALL)
    assert (snapshot.pids and snapshot.pids.current, snapshot.cpu, snapshot.core, snapshot.io) == (None,) * 4
    assert snapshot.memory is not None
    assert snapshot.cpuset is not None
    assert world.collector.problems == {
        ("pids", "malformed"): 3,
        ("cpu", "malformed"): 3,
        ("core", "EISDIR"): 3,
        ("io", "missing io.stat"): 3,
    }
    assert len(caplog.records) == 4
    assert {record.levelname for record in caplog.records if "'/a'" in record.message} == {"INFO", "WARNING"}


def test_a_broken_ancestor_is_left_out(root: Path, world: World) -> None:
    """A level that cannot be read limits nothing that is known; it is counted, and the rest holds."""
    make_cgroup(root, memory_max="9000\n")
    make_cgroup(root / "pod", memory_max="lots\n", memory_current="")
    make_cgroup(root / "pod" / "web")
    bounds = world.collector.snapshot(world["/pod/web"], Need.MEMORY).memory_bounds
    assert bounds is not None
    assert (bounds.max, bounds.max_origin) == (9000, "/")
    assert world.collector.problems == {("memory limits", "malformed"): 1}


def test_log_lines_cannot_be_forged(root: Path, world: World, caplog: pytest.LogCaptureFixture) -> None:
    """A cgroup's name and a file's content are a stranger's choice: control characters are quoted."""
    odd = "x\x1b[2J"
    make_cgroup(root / odd, pids_current="1\x1b\n2\n")
    world.collector.snapshot(world["/" + odd], Need.PIDS)
    assert len(caplog.records) == 1
    assert caplog.records[0].getMessage().isprintable()


def test_what_was_logged_is_remembered_in_bounded_memory(root: Path, world: World) -> None:
    """Cgroups come and go for years."""
    make_cgroup(root / "a")
    for number in range(10_000):
        world.collector.problems.note(f"/{number}", "memory", Missing("x"))
    assert len(world.collector.problems._logged) <= 4096
    assert world.collector.problems == {("memory", "missing x"): 10_000}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.dictionaries(st.sampled_from(sorted(V2_FILES)), st.binary(max_size=60), max_size=6))
def test_any_bytes_give_a_value_or_unknown(root: Path, world: World, contents: dict[str, bytes]) -> None:
    """Whatever control files hold, of the cgroup and of its parent, a snapshot comes out."""
    make_cgroup(root)
    make_cgroup(root / "a")
    for name, content in contents.items():
        (root / name).write_bytes(content)
        (root / "a" / name).write_bytes(content)
    snapshot = world.collector.snapshot(world["/a"], ALL)
    assert snapshot.cpus is not None
    assert snapshot.cpus.count >= 1


# ----------------------------------------------------------------------------------------------- history


class Remembered:
    """A history that answers with what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def cpu_times(self, cgroup: Cgroup, cpu: Cpu | None, shown: ShownCpus) -> CpuTimes | None:
        """Give one CPU's use to the first CPU."""
        self.asked.append(("cpu_times", cgroup.path))
        return CpuTimes((CpuTime(user=cpu.usage_usec or 0 if cpu else 0),) * shown.count)

    def age(self, cgroup: Cgroup) -> float | None:
        """Give a fixed age."""
        self.asked.append(("age", cgroup.path))
        return 7.0

    def boot_offset(self, _cgroup: Cgroup) -> float:
        """Give a fixed offset."""
        return -5.0

    def tasks(self, cgroup: Cgroup) -> Tasks | None:
        """Fail as reading a process that ended does."""
        self.asked.append(("tasks", cgroup.path))
        raise ProcessLookupError(3, "no such process")

    def load(self, cgroup: Cgroup) -> Load | None:
        """Give a fixed load."""
        self.asked.append(("load", cgroup.path))
        return Load(1.0, 2.0, 3.0)


def test_history_is_asked_only_when_needed(root: Path, source: Source, host: HostFiles) -> None:
    """What needs more than one look comes from the history; an error there costs that part only."""
    make_cgroup(root / "a", cpu_max="200000 100000\n")
    history = Remembered()
    world = World(Mounts((Hierarchy(2, str(root), "/", V2),)), source, host, history=history)
    assert world.collector.snapshot(world["/a"], Need.MEMORY).age_seconds is None
    assert history.asked == []
    snapshot = world.collector.snapshot(world["/a"], Need.CPU_TIMES | Need.AGE | Need.TASKS | Need.LOAD)
    assert snapshot.cpu_times == CpuTimes((CpuTime(user=30),) * 2)
    assert (snapshot.age_seconds, snapshot.tasks, snapshot.load) == (7.0, None, Load(1.0, 2.0, 3.0))
    assert sorted(history.asked) == [(name, "/a") for name in ("age", "cpu_times", "load", "tasks")]
    assert world.collector.problems == {("tasks", "ESRCH"): 1}


# ---------------------------------------------------------------------------------------------------- v1

V1_UNLIMITED = str(0x7FFFFFFFFFFFF000) + "\n"
V1_FILES = {
    "memory": {
        "memory.limit_in_bytes": V1_UNLIMITED,
        "memory.usage_in_bytes": "1000\n",
        "memory.stat": f"hierarchical_memory_limit {V1_UNLIMITED}total_active_file 100\ntotal_inactive_file 200\n",
    },
    "cpu": {"cpu.shares": "1024\n", "cpu.cfs_quota_us": "-1\n", "cpu.cfs_period_us": "100000\n"},
    "cpuacct": {"cpuacct.usage": "30000\n", "cpuacct.stat": "user 2\nsystem 1\n"},
    "pids": {"pids.max": "max\n", "pids.current": "3\n"},
}

MakeV1 = Callable[..., None]


@pytest.fixture
def make_v1(root: Path) -> MakeV1:
    """Make a cgroup in v1 hierarchies: all of them, or those named."""

    def make(path: str, *controllers: str, **files: str) -> None:
        for controller in controllers or V1_FILES:
            directory = root / controller / path.strip("/")
            directory.mkdir(parents=True, exist_ok=True)
            for name, content in V1_FILES[controller].items():
                (directory / name).write_text(files.get(name.replace(".", "_"), content))

    make("/")
    return make


@pytest.fixture
def v1(root: Path, source: Source, host: HostFiles) -> World:
    """Mount a hierarchy per controller."""
    mounts = Mounts(tuple(Hierarchy(1, str(root / name), "/", frozenset({name})) for name in V1_FILES))
    return World(mounts, source, host)


def test_v1_limits_of_ancestors_bind(make_v1: MakeV1, v1: World) -> None:
    """The same minima from the other dialect."""
    make_v1("/pod", memory_limit_in_bytes="5000\n", memory_usage_in_bytes="4500\n", cpu_cfs_quota_us="150000\n")
    make_v1("/pod/web")
    snapshot = v1.collector.snapshot(v1["/pod/web"], Need.MEMORY | Need.CPUS | Need.PIDS | Need.CPU)
    assert snapshot.memory_bounds is not None
    assert (snapshot.memory_bounds.max, snapshot.memory_bounds.max_origin) == (5000, "/pod")
    assert (snapshot.memory_bounds.free, snapshot.memory_bounds.available) == (500, 800)
    assert snapshot.cpus is not None
    assert (snapshot.cpus.quota_cpus, snapshot.cpus.quota_origin) == (1.5, "/pod")
    assert snapshot.cpu is not None
    assert snapshot.cpu.usage_usec == 30
    assert snapshot.pids is not None
    assert snapshot.pids.effective_max is UNLIMITED


@pytest.mark.parametrize("own", [V1_UNLIMITED, "9000\n"])
def test_v1_counts_ancestors_that_no_mount_shows(make_v1: MakeV1, v1: World, own: str) -> None:
    """In a container the host's cgroups are out of sight, but v1 still tells their limit."""
    stat = "hierarchical_memory_limit 3000\ntotal_active_file 100\ntotal_inactive_file 200\n"
    make_v1("/", memory_stat=stat)
    make_v1("/a", memory_limit_in_bytes=own, memory_stat=stat)
    bounds = v1.collector.snapshot(v1["/a"], Need.MEMORY).memory_bounds
    assert bounds is not None
    assert (bounds.max, bounds.max_origin, bounds.free, bounds.available) == (3000, None, 2000, 2300)


def test_v1_usage_of_an_ancestor_is_not_shown(make_v1: MakeV1, v1: World) -> None:
    """A container that only the memory hierarchy knows has the limits of the root elsewhere, but not its usage."""
    make_v1("/a", "memory")
    snapshot = v1.collector.snapshot(v1["/a"], Need.MEMORY | Need.CPU | Need.CPUS | Need.PIDS)
    assert snapshot.memory is not None
    assert snapshot.cpu is None
    assert snapshot.cpus is not None
    assert snapshot.cpus.quota_cpus is UNLIMITED
    assert snapshot.pids is not None
    assert (snapshot.pids.current, snapshot.pids.effective_max) == (None, UNLIMITED)
    assert v1.collector.problems == {("cpu", "missing cpu"): 1, ("pids", "missing pids"): 1}


def test_what_is_not_mounted_is_unknown(make_v1: MakeV1, v1: World) -> None:
    """A machine without a controller, as v1 is without pressure, has no problem: there is nothing to know."""
    make_v1("/a")
    snapshot = v1.collector.snapshot(v1["/a"], ALL)
    assert (snapshot.pressure, snapshot.io, snapshot.hugetlb, snapshot.core) == (None,) * 4
    assert v1.collector.problems == {}


def test_v1_io_that_nobody_counts(root: Path, make_v1: MakeV1, source: Source, host: HostFiles) -> None:
    """Where no disk is counted at the top that is a problem, told once a pass, and no cgroup's I/O is zero."""
    make_v1("/a")
    name = "blkio.throttle.io_service_bytes_recursive"
    for directory in (root / "io", root / "io/a"):
        directory.mkdir()
        (directory / name).write_text("Total 0\n")
    hierarchies = (Hierarchy(1, str(root / each), "/", frozenset({each})) for each in (*V1_FILES, "io"))
    v1 = World(Mounts(tuple(hierarchies)), source, host)
    assert v1.collector.snapshot(v1["/a"], Need.IO).io is None
    assert v1.collector.problems == {("io", f"missing {name}"): 1}
    for directory in (root / "io", root / "io/a"):
        (directory / name).write_text("8:0 Read 5\nTotal 5\n")
    io = v1.collector.snapshot(v1["/a"], Need.IO).io
    assert io is not None
    assert [device.rbytes for device in io.devices] == [5]


def test_the_root_has_few_files(root: Path, world: World) -> None:
    """A snapshot of the root works without being a problem: views then show the host's values."""
    (root / "memory.stat").write_text("anon 1\n")
    snapshot = world.collector.snapshot(world["/"], ALL)
    assert snapshot.memory is not None
    assert snapshot.memory.current is None
    assert snapshot.pids is None
    assert snapshot.cpus == ShownCpus((0, 1, 2, 4, 5), (0, 1, 2, 4, 5), None)
    assert world.collector.problems == {}
