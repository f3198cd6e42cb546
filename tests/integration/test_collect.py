"""Snapshots of real cgroups, compared with the control files; on v1, hybrid and v2."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from cgroup_model.collect import Collector
from cgroup_model.control import ControlError, Limits, add_process, apply, create, kill, remove
from cgroup_model.hierarchy import Cgroup, Tree
from cgroup_model.host import HostFiles
from cgroup_model.mounts import Mounts, discover_mounts
from cgroup_model.snapshot import UNLIMITED, Need
from cgroup_model.source import CgroupGone, Source

MIB = 1 << 20
ALL = ~Need.NOTHING

# Two threads and 24 MiB, some CPU time, then rest.
BUSY = f"""
import threading
threading.Thread(target=threading.Event().wait, daemon=True).start()
block = bytearray(b"x") * (24 * {MIB})
sum(range(2_000_000))
print("ready", flush=True)
threading.Event().wait()
"""

# The drawn tree; sibling fills a part of the pod.
#
#   TOP/pod      memory 96 MiB, 1.5 CPUs, 50 tasks
#   ├── web      no limits, busy
#   └── sibling  no limits, busy
TOP = f"/cgscope-test-collect-{os.getpid()}"
POD, WEB, SIBLING = f"{TOP}/pod", f"{TOP}/pod/web", f"{TOP}/pod/sibling"

# (v1 name, v2 name) of the plain numbers that are compared.
NAMES = {
    "memory": ("memory.usage_in_bytes", "memory.current"),
    "pids": ("pids.current", "pids.current"),
    "pids.max": ("pids.max", "pids.max"),
    "memory.max": ("memory.limit_in_bytes", "memory.max"),
}

CHANGES = [
    *(Limits(memory_bytes=size) for size in (32 * MIB, 48 * MIB, 64 * MIB, UNLIMITED)),
    *(Limits(cpus=cpus) for cpus in (0.5, 1.5, UNLIMITED)),
    *(Limits(pids=pids) for pids in (20, 30, UNLIMITED)),
]

Read = Callable[[str, str, str], bytes]


@pytest.fixture(scope="module")
def mounts() -> Mounts:
    """Find the machine's hierarchies."""
    if os.geteuid() != 0:
        pytest.skip("making cgroups takes root")
    return discover_mounts()


@pytest.fixture(scope="module")
def busy(mounts: Mounts) -> Iterator[dict[str, int]]:
    """Make the drawn tree; gives the pid of the stopped process in each leaf."""
    processes = {}
    try:
        for path in (WEB, SIBLING):
            create(mounts, path)
            script = f"input(); exec({BUSY!r})"
            process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            add_process(mounts, path, process.pid)
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(b"\n")
            process.stdin.flush()
            assert process.stdout.readline() == b"ready\n"
            process.send_signal(signal.SIGSTOP)
            processes[path] = process
        apply(mounts, POD, Limits(memory_bytes=96 * MIB, cpus=1.5, pids=50))
        yield {path: process.pid for path, process in processes.items()}
    finally:
        for process in processes.values():
            process.kill()
            process.communicate()
        remove(mounts, TOP)


@pytest.fixture
def source() -> Iterator[Source]:
    """Keep descriptors, as the tools do."""
    with Source() as source:
        yield source


@pytest.fixture
def tree(mounts: Mounts, source: Source) -> Iterator[Tree]:
    """Open the real tree; cgroups below the test's own are its containers."""
    tree = Tree(mounts, source, container_path=lambda path: path if path.startswith(f"{TOP}-box/") else None)
    yield tree
    tree.close()


@pytest.fixture
def collector(tree: Tree, source: Source) -> Iterator[Collector]:
    """Collect from the real tree and machine."""
    with HostFiles() as host:
        yield Collector(tree, source, host)


@pytest.fixture
def number(mounts: Mounts) -> Callable[[str, str, str], int]:
    """Read a plain number from a control file, without any of our code."""

    def read(controller: str, path: str, name: str) -> int:
        hierarchy = mounts.for_controller(controller)
        assert hierarchy is not None
        file = f"{hierarchy.mountpoint}{path}/{NAMES[name][hierarchy.version - 1]}"
        with open(file, "rb") as opened:
            return int(opened.read())

    return read


def cpu_usec(mounts: Mounts, path: str) -> int:
    """Read the CPU time used, without any of our code."""
    hierarchy = mounts.for_controller("cpuacct")
    if hierarchy is not None:
        with open(f"{hierarchy.mountpoint}{path}/cpuacct.usage", "rb") as file:
            return int(file.read()) // 1000
    hierarchy = mounts.for_controller("")
    assert hierarchy is not None
    with open(f"{hierarchy.mountpoint}{path}/cpu.stat", "rb") as file:
        return int(file.readline().split()[1])


def test_usage_is_what_the_control_files_say(
    mounts: Mounts, tree: Tree, collector: Collector, busy: dict[str, int], number: Callable[[str, str, str], int]
) -> None:
    """Each value lies between the control file's before and after the snapshot; the processes stand still."""
    assert busy
    before = number("memory", WEB, "memory"), cpu_usec(mounts, WEB)
    snapshot = collector.snapshot(tree.cgroup(WEB), ALL)
    after = number("memory", WEB, "memory"), cpu_usec(mounts, WEB)
    assert snapshot.memory is not None
    assert snapshot.memory.current is not None
    assert min(before[0], after[0]) <= snapshot.memory.current <= max(before[0], after[0])
    assert snapshot.memory.stat.anon is not None
    assert 24 * MIB <= snapshot.memory.stat.anon <= snapshot.memory.current
    assert snapshot.cpu is not None
    assert snapshot.cpu.usage_usec is not None
    assert 0 < before[1] <= snapshot.cpu.usage_usec <= after[1]
    assert snapshot.pids is not None
    assert snapshot.pids.current == number("pids", WEB, "pids") == 2


def test_limits_of_the_pod_bind_the_container(
    tree: Tree, collector: Collector, busy: dict[str, int], number: Callable[[str, str, str], int]
) -> None:
    """The effective limits are the control files' values of the ancestor that sets them."""
    assert busy
    snapshot = collector.snapshot(tree.cgroup(WEB), ALL)
    assert snapshot.memory is not None
    assert snapshot.memory.max is UNLIMITED
    bounds = snapshot.memory_bounds
    assert bounds is not None
    assert (bounds.max, bounds.max_origin) == (number("memory", POD, "memory.max"), POD) == (96 * MIB, POD)
    assert snapshot.pids is not None
    limit = number("pids", POD, "pids.max")
    assert (snapshot.pids.effective_max, snapshot.pids.effective_max_origin) == (limit, POD) == (50, POD)
    assert snapshot.cpus is not None
    assert (snapshot.cpus.quota_cpus, snapshot.cpus.quota_origin) == (1.5, POD)
    assert snapshot.cpus.count == min(2, len(snapshot.cpus.usable))
    assert set(snapshot.cpus.usable) <= set(snapshot.host.online_cpus)


def test_siblings_take_from_what_is_free(
    tree: Tree, collector: Collector, busy: dict[str, int], number: Callable[[str, str, str], int]
) -> None:
    """What is left is what the whole pod leaves, not only this container."""
    assert busy
    before = number("memory", POD, "memory")
    bounds = collector.snapshot(tree.cgroup(WEB), Need.MEMORY).memory_bounds
    after = number("memory", POD, "memory")
    assert bounds is not None
    assert bounds.free is not None
    assert bounds.available is not None
    assert 96 * MIB - max(before, after) <= bounds.free <= 96 * MIB - min(before, after)
    assert bounds.free <= 48 * MIB
    assert bounds.free <= bounds.available <= 96 * MIB


def test_a_changed_limit_is_seen_at_once(
    mounts: Mounts, tree: Tree, collector: Collector, busy: dict[str, int]
) -> None:
    """No limit is remembered between two snapshots."""
    assert busy
    cgroup = tree.cgroup(SIBLING)
    assert collector.snapshot(cgroup, Need.CPUS).cpus is not None
    apply(mounts, SIBLING, Limits(cpus=0.5, pids=20))
    snapshot = collector.snapshot(cgroup, Need.CPUS | Need.PIDS)
    assert snapshot.cpus is not None
    assert (snapshot.cpus.quota_cpus, snapshot.cpus.quota_origin, snapshot.cpus.count) == (0.5, SIBLING, 1)
    assert snapshot.pids is not None
    assert (snapshot.pids.effective_max, snapshot.pids.effective_max_origin) == (20, SIBLING)


def test_a_process_is_found(tree: Tree, busy: dict[str, int]) -> None:
    """The cgroup of a pid is the cgroup of its path, in every hierarchy."""
    assert tree.cgroup_of_pid(busy[WEB]) == tree.cgroup(WEB)
    assert [cgroup.path for cgroup in tree.ancestors(tree.cgroup(WEB))] == [POD, TOP, "/"]
    assert [cgroup.path for cgroup in tree.walk(TOP)] == [TOP, POD, SIBLING, WEB]


def test_the_root_is_the_machine(tree: Tree, collector: Collector) -> None:
    """A snapshot of everything of the root works and is no problem."""
    snapshot = collector.snapshot(tree.cgroup("/"), ALL)
    assert snapshot.cpus is not None
    assert snapshot.cpus.physical == snapshot.host.online_cpus
    assert snapshot.memory_bounds is not None
    assert not isinstance(snapshot.memory_bounds.max, int)
    assert collector.problems == {}


IN_NAMESPACE = """
import os, sys
input()
from cgroup_model.collect import Collector
from cgroup_model.hierarchy import Cgroup, Tree
from cgroup_model.host import HostFiles
from cgroup_model.mounts import discover_mounts
from cgroup_model.snapshot import Need
from cgroup_model.source import Source
source = Source()
tree = Tree(discover_mounts(), source)
snapshot = Collector(tree, source, HostFiles()).snapshot(tree.cgroup_of_pid(os.getpid()), Need.MEMORY | Need.PIDS)
print(snapshot.path, snapshot.memory_bounds.max, snapshot.memory_bounds.max_origin, snapshot.pids.effective_max)
"""


def test_ancestors_outside_of_a_cgroup_namespace_bind(mounts: Mounts) -> None:
    """In a cgroup namespace paths begin at the container and go up with "/.."; limits above hold all the same."""
    top = f"{TOP}-ns"
    path = f"{top}/web"
    script = f"read -r go; exec unshare --cgroup {sys.executable} -c '{IN_NAMESPACE}'"
    create(mounts, path)
    try:
        apply(mounts, top, Limits(memory_bytes=64 * MIB, pids=30))
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        process = subprocess.Popen(
            ["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
        )
        add_process(mounts, path, process.pid)
        output, _ = process.communicate("go\ngo\n", timeout=60)
        assert output.split() == ["/", str(64 * MIB), "/..", "30"]
    finally:
        with contextlib.suppress(CgroupGone):
            kill(mounts, top)
        remove(mounts, top)


def test_a_removed_cgroup_is_gone_also_when_made_again(mounts: Mounts, tree: Tree, collector: Collector) -> None:
    """Kept descriptors never show the old cgroup's values as those of the new one."""
    path = f"{TOP}-gone"
    create(mounts, path)
    try:
        old = tree.cgroup(path)
        assert collector.snapshot(old, ALL).memory is not None
        remove(mounts, path)
        for _ in range(2):
            with pytest.raises(CgroupGone):
                collector.snapshot(old, ALL)
        with pytest.raises(CgroupGone):
            tree.cgroup(path)
        create(mounts, path)
        new = tree.cgroup(path)
        assert new != old
        assert collector.snapshot(new, ALL).memory is not None
        with pytest.raises(CgroupGone):
            collector.snapshot(old, ALL)
        assert collector.problems == {}
    finally:
        remove(mounts, path)


def test_a_successor_is_not_taken_for_its_predecessor(mounts: Mounts, tree: Tree, collector: Collector) -> None:
    """Removed and made again between two looks: the descriptors that were kept are of no cgroup any more."""
    path = f"{TOP}-again"
    create(mounts, path)
    try:
        old = tree.cgroup(path)
        collector.snapshot(old, ALL)
        remove(mounts, path)
        create(mounts, path)
        assert collector.snapshot(tree.cgroup(path), ALL).memory is not None
        with pytest.raises(CgroupGone):
            collector.snapshot(old, ALL)
    finally:
        remove(mounts, path)


def test_containers_come_and_go(mounts: Mounts, tree: Tree) -> None:
    """The kernel notifies: nothing is scanned again, and what is removed disappears."""
    top = f"{TOP}-box"
    assert tree.containers() == {}
    try:
        create(mounts, f"{top}/a/b")
        keys = {cgroup.path: key for key, cgroup in tree.containers().items()}
        assert set(keys) == {f"{top}/a", f"{top}/a/b"}
        assert tree.containers()[keys[f"{top}/a"]] == tree.cgroup(f"{top}/a")
        assert tree.is_live
        remove(mounts, f"{top}/a/b")
        assert [cgroup.path for cgroup in tree.containers().values()] == [f"{top}/a"]
        assert not tree.refresh()
    finally:
        remove(mounts, top)
    assert tree.containers() == {}


def test_descriptors_are_given_back(mounts: Mounts, tree: Tree, source: Source, collector: Collector) -> None:
    """A container that is gone leaves nothing open: a read, a notification or the next rescan notices its end."""

    def read_again(cgroup: Cgroup) -> None:
        with pytest.raises(CgroupGone):
            collector.snapshot(cgroup, ALL)

    top = f"{TOP}-many"
    ways: list[Callable[[Cgroup], object]] = [read_again, lambda _: tree.process_events(), lambda _: tree.refresh()]
    create(mounts, top)
    try:
        for notice in ways:
            tree.process_events()
            create(mounts, f"{top}/short")
            cgroup = tree.cgroup(f"{top}/short")
            collector.snapshot(cgroup, ALL)
            tree.process_events()
            remove(mounts, f"{top}/short")
            notice(cgroup)
            assert [directory for directory in source._kept if not os.path.isdir(directory)] == []
    finally:
        remove(mounts, top)


def test_what_is_remembered_is_what_anybody_would_read(mounts: Mounts) -> None:
    """However limits change at any level, and cgroups are made again: a long-lived reader agrees with a new one."""
    top = f"/cgscope-test-remembered-{os.getpid()}"
    paths = [f"{top}/pod", f"{top}/pod/box", f"{top}/pod/box/inner"]
    dice = random.Random(7)  # noqa: S311
    create(mounts, paths[-1])
    try:
        with Source(remember=True) as source, HostFiles() as host:
            tree = Tree(mounts, source)
            remembering = Collector(tree, source, host)
            for step in range(60):
                if step % 20 == 19:
                    remove(mounts, paths[1])
                    create(mounts, paths[-1])
                with contextlib.suppress(ControlError):  # v1 lets no child have more CPU time than its parent
                    apply(mounts, dice.choice(paths), dice.choice(CHANGES))
                for path in paths:
                    cgroup = tree.cgroup(path)
                    with Source() as fresh:
                        told = limits_of(Collector(tree, fresh, host), cgroup)
                    assert limits_of(remembering, cgroup) == told
            tree.close()
    finally:
        remove(mounts, top)


def limits_of(collector: Collector, cgroup: Cgroup) -> tuple[object, ...]:
    """List what only a write changes."""
    shown = collector.snapshot(cgroup, Need.MEMORY | Need.CPU | Need.CPUS | Need.PIDS | Need.HOST_MEMINFO)
    assert shown.memory_bounds is not None
    assert shown.pids is not None
    bounds, pids = shown.memory_bounds, shown.pids
    return bounds.max, bounds.max_origin, bounds.high, shown.cpus, pids.effective_max, pids.effective_max_origin
