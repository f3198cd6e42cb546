"""Cgroups whose files say the same as before: they are read all the same, and everything that changed is seen."""

from __future__ import annotations

import mmap
import os
import shutil
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cgroup_model.collect import Collector
from cgroup_model.hierarchy import Tree
from cgroup_model.host import HostFiles
from cgroup_model.mounts import Hierarchy, Mounts
from cgroup_model.snapshot import UNLIMITED, Need, Snapshot
from cgroup_model.source import Source

FILES = {
    "cgroup.controllers": "cpu memory pids io\n",
    "cgroup.events": "populated 1\nfrozen 0\n",
    "cgroup.stat": "nr_descendants 0\nnr_dying_descendants 0\n",
    "cpu.max": "max 100000\n",
    "cpu.pressure": "some avg10=1.00 avg60=2.00 avg300=3.00 total=4\n",
    "cpu.stat": "usage_usec 30\nuser_usec 20\nsystem_usec 10\n",
    "cpu.weight": "100\n",
    "cpuset.cpus.effective": "0-3\n",
    "io.stat": "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n",
    "memory.current": "1000\n",
    "memory.events": "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\n",
    "memory.high": "max\n",
    "memory.max": "max\n",
    "memory.stat": "anon 600\nfile 400\nactive_file 100\ninactive_file 200\nslab_reclaimable 50\n",
    "memory.swap.current": "10\n",
    "memory.swap.max": "max\n",
    "pids.current": "3\n",
    "pids.max": "max\n",
}
WRITTEN = {
    "cpu.max": ("200000 100000\n", "50000 100000\n", "max 100000\n"),
    "memory.high": ("9000\n", "max\n"),
    "memory.max": ("10000\n", "8000\n", "max\n"),
    "pids.max": ("100\n", "7\n", "max\n"),
}
"""What somebody writes to settings."""

COUNTED = {
    "cgroup.events": ("populated 1\nfrozen 1\n", FILES["cgroup.events"]),
    "cpu.stat": (FILES["cpu.stat"].replace("0", "1"), FILES["cpu.stat"].replace("_", " "), FILES["cpu.stat"]),
    "cpuset.cpus.effective": ("0-1\n", "1-3\n", "0-3\n"),
    "io.stat": (FILES["io.stat"].replace("8:0", "8:1"), FILES["io.stat"]),
    "memory.current": ("5000\n", "7000\n", "none\n", "1000\n"),
    "memory.stat": (FILES["memory.stat"].replace("00", "11"), FILES["memory.stat"]),
    "pids.current": ("4\n", "x\n", "5\n"),
}
"""What the kernel says one day, of the same length as before."""

PATHS = ("/pod", "/pod/a", "/pod/b", "/c")
NEEDS = Need.MEMORY | Need.MEMORY_DETAIL | Need.CPU | Need.CPUS | Need.IO | Need.PIDS | Need.PRESSURE | Need.CORE
MACHINES = ("SwapTotal:             0 kB\n", "SwapTotal:          4096 kB\n")
COMPARED = [field.name for field in fields(Snapshot) if field.name != "taken_at"]


def overwrite(file: Path, text: str) -> None:
    """Write as one writes to a control file: no other file takes its place."""
    descriptor = os.open(file, os.O_WRONLY | os.O_TRUNC)
    os.write(descriptor, text.encode())
    os.close(descriptor)


def says(file: Path, text: str) -> None:
    """Change a file as the kernel does: nobody writes, so nobody is notified."""
    with file.open("r+b") as opened, mmap.mmap(opened.fileno(), 0) as memory:
        memory[:] = text.encode()


class Machine:
    """Cgroups made of files, and collectors that look at them: one remembers, the other reads everything anew."""

    def __init__(self, folder: Path, budget: int | None = None) -> None:
        self.root, self.meminfo = folder / "cgroup", folder / "proc/meminfo"
        (folder / "proc").mkdir(parents=True)
        self.meminfo.write_text("MemTotal: 1 kB\n" + MACHINES[0])
        (folder / "sys/devices/system/cpu").mkdir(parents=True)
        (folder / "sys/devices/system/cpu/online").write_text("0-3\n")
        for path in ("/", *PATHS):
            (self.root / path[1:]).mkdir(parents=True)
            for name, text in FILES.items():
                (self.root / path[1:] / name).write_text(text)
        self.host = HostFiles(str(folder / "proc"), str(folder / "sys"))
        self.sources = Source(budget, remember=True), Source(0, absent_seconds=0)
        hierarchy = Hierarchy(2, str(self.root), "/", frozenset({"memory", "cpu", "cpuset", "io", "pids"}))
        self.trees = [Tree(Mounts((hierarchy,)), source) for source in self.sources]
        self.collectors = [
            Collector(tree, source, self.host) for tree, source in zip(self.trees, self.sources, strict=True)
        ]

    def write(self, path: str, name: str, text: str) -> None:
        """Have somebody write a setting."""
        overwrite(self.root / path[1:] / name, text)

    def count(self, path: str, name: str, text: str) -> None:
        """Have the kernel say something else."""
        says(self.root / path[1:] / name, text)

    def look(self, which: int = 0, needs: Need = NEEDS | Need.HOST_MEMINFO) -> dict[str, Snapshot]:
        """Let the collector that remembers (0) or the other one (1) look at all cgroups."""
        tree = self.trees[which]
        cgroups = [tree.cgroup(path) for path in PATHS]
        return {one.path: snapshot for one, snapshot in self.collectors[which].snapshots(cgroups, needs)}

    def close(self) -> None:
        """Close what is open."""
        for source in self.sources:
            source.close()
        self.host.close()


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A machine in which nothing happens; it was looked at twice, so everything is open and remembered."""
    made = Machine(tmp_path)
    made.look()
    made.look()
    yield made
    made.close()


def test_nothing_is_made_anew_of_what_says_the_same(machine: Machine) -> None:
    """All parts are the very objects of the look before."""
    before, after = machine.look(), machine.look()
    assert all(after[path].memory is before[path].memory is not None for path in PATHS)
    assert all(after[path].pids is before[path].pids is not None for path in PATHS)


def test_every_file_is_read_all_the_same(machine: Machine) -> None:
    """What the kernel says since is seen at once, one file at a time."""
    for number in (5, 6, 6, 7, 8, 8, 9):
        machine.count("/c", "pids.current", f"{number}\n")
        found = machine.look()
        assert found["/c"].pids is not None
        assert found["/c"].pids.current == number


def test_a_limit_of_an_ancestor_is_seen_below(machine: Machine) -> None:
    """At once after the write, and again when it is lifted; and its neighbour is not concerned."""
    neighbour = machine.look()["/c"].memory_bounds
    for text, limit in (("8000\n", 8000), ("max\n", UNLIMITED)) * 3:
        machine.write("/pod", "memory.max", text)
        for _ in range(3):
            found = machine.look()
            assert found["/pod/a"].memory_bounds is not None
            assert found["/pod/a"].memory_bounds.max == limit
            assert found["/c"].memory_bounds is neighbour


def test_usage_of_a_limited_ancestor_is_seen_below(machine: Machine) -> None:
    """What is left below a limit depends on files that are not the cgroup's own."""
    machine.write("/pod", "memory.max", "10000\n")
    for used in (5000, 6000, 7000):
        machine.count("/pod", "memory.current", f"{used}\n")
        found = machine.look()
        for path in ("/pod/a", "/pod/b"):
            bounds = found[path].memory_bounds
            assert bounds is not None
            assert bounds.free == 10000 - used


def test_what_cannot_be_read_is_counted_each_time(machine: Machine) -> None:
    """A part that is unknown is so in every look, not only in the first."""
    machine.count("/c", "pids.current", "x\n")
    for count in range(1, 5):
        found = machine.look()["/c"].pids
        assert found is None or found.current is None
        assert machine.collectors[0].problems["pids", "malformed"] == count


def test_a_limit_that_was_written_while_nobody_watched_is_seen_below(machine: Machine) -> None:
    """An ancestor was given up in favour of others, and with it the notice of what is written there."""
    machine.sources[0].forget(str(machine.root / "pod"))
    machine.write("/pod", "memory.max", "8000\n")
    bounds = machine.look()["/pod/a"].memory_bounds
    assert bounds is not None
    assert bounds.max == 8000


def test_descriptors_that_are_others_by_now_are_not_read(machine: Machine, tmp_path: Path) -> None:
    """A cgroup's descriptors were closed, and files that say what its own said have their numbers."""
    folder, copy = machine.root / "c", tmp_path / "copy"
    kept = machine.sources[0]._kept.of(str(folder))
    names = sorted(kept, key=lambda name: kept[name])
    shutil.copytree(folder, copy)
    machine.sources[0].forget(str(folder))
    others = [os.open(copy / name, os.O_RDONLY) for name in names]
    machine.count("/c", "pids.current", "9\n")
    found = machine.look()["/c"].pids
    for other in others:
        os.close(other)
    assert found is not None
    assert found.current == 9


def test_swap_that_the_machine_has_by_now_is_read(machine: Machine) -> None:
    """What is left out because of the machine is asked for again as soon as that changes."""
    needs = Need.MEMORY | Need.HOST_MEMINFO
    for number, used in ((0, None), (1, 10), (0, None)):
        overwrite(machine.meminfo, "MemTotal: 1 kB\n" + MACHINES[number])
        for _ in range(3):
            memory = machine.look(0, needs)["/c"].memory
            assert memory is not None
            assert memory.swap_current == used


def test_a_successor_is_not_taken_for_the_one_before(machine: Machine) -> None:
    """A cgroup that was removed and made again under the same path is another one."""
    folder = machine.root / "c"
    for name in FILES:
        (folder / name).unlink()
    folder.rmdir()
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text("77\n" if name == "pids.current" else text)
    for tree in machine.trees:
        tree.forget("/c")
    found = machine.look()["/c"]
    assert found.pids is not None
    assert found.pids.current == 77


STEPS = st.one_of(
    st.tuples(st.sampled_from(PATHS), st.sampled_from(sorted(WRITTEN | COUNTED)), st.integers(0, 3)),
    st.tuples(st.just("machine"), st.just(""), st.integers(0, 1)),
    st.tuples(st.just("forget"), st.sampled_from(PATHS), st.just(0)),
)


@given(
    rounds=st.lists(st.lists(STEPS, max_size=3), max_size=8),
    budget=st.sampled_from((None, 20, 60)),
    needs=st.sampled_from((NEEDS | Need.HOST_MEMINFO, Need.MEMORY | Need.PIDS)),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_remembered_changes_no_value(
    tmp_path_factory: pytest.TempPathFactory, rounds: list[list[tuple[str, str, int]]], budget: int | None, needs: Need
) -> None:
    """Whatever happens in whatever order, with few descriptors or many: the same as reading all anew."""
    machine = Machine(tmp_path_factory.mktemp("machine"), budget)
    try:
        for steps in [[], [], *rounds, [], []]:
            for step in steps:
                happen(machine, *step)
            compare(machine.look(0, needs), machine.look(1, needs))
    finally:
        machine.close()


def happen(machine: Machine, where: str, what: str, number: int) -> None:
    """Let one of the things happen that change what a look finds, or not."""
    if where == "machine":
        overwrite(machine.meminfo, "MemTotal: 1 kB\n" + MACHINES[number])
    elif where == "forget":
        machine.sources[0].forget(str(machine.root / what[1:]))
    elif what in WRITTEN:
        machine.write(where, what, WRITTEN[what][number % len(WRITTEN[what])])
    else:
        machine.count(where, what, COUNTED[what][number % len(COUNTED[what])])


def compare(remembered: dict[str, Snapshot], anew: dict[str, Snapshot]) -> None:
    """Insist on the same parts."""
    assert remembered.keys() == anew.keys()
    for path, snapshot in anew.items():
        for part in COMPARED:
            assert getattr(remembered[path], part) == getattr(snapshot, part), (path, part)
