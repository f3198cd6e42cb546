"""Every cgroup of the machine, as they come and go, and their single numbers."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from cgroup_model.collect import Collector
from cgroup_model.control import create, remove
from cgroup_model.hierarchy import Tree
from cgroup_model.host import HostFiles
from cgroup_model.inventory import Inventory
from cgroup_model.mounts import Mounts, discover_mounts
from cgroup_model.snapshot import Need
from cgroup_model.source import Source
from cgroup_model.survey import Survey

TOP = f"/cgscope-test-inventory-{os.getpid()}"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="makes cgroups: needs root")


@pytest.fixture
def mounts() -> Iterator[Mounts]:
    """Return what is mounted; take away what the test made."""
    found = discover_mounts()
    yield found
    remove(found, TOP)


def test_cgroups_come_and_go(mounts: Mounts) -> None:
    """Made, removed, and made again under the same name between two looks: another cgroup."""
    with Source() as source:
        tree = Tree(mounts, source)
        inventory = Inventory(tree)
        try:
            assert TOP not in inventory.cgroups()
            create(mounts, f"{TOP}/a")
            first = inventory.cgroups()[f"{TOP}/a"]
            assert inventory.cgroups()[f"{TOP}/a"] == first == tree.cgroup(f"{TOP}/a").inode
            remove(mounts, f"{TOP}/a")
            create(mounts, f"{TOP}/a")
            assert inventory.cgroups()[f"{TOP}/a"] != first
            remove(mounts, f"{TOP}/a")
            assert f"{TOP}/a" not in inventory.cgroups()
            assert TOP in inventory.cgroups()
        finally:
            inventory.close()
            tree.close()


def watches() -> int:
    """Count the inotify watches of this process, as the kernel has them."""
    count = 0
    for number in os.listdir("/proc/self/fdinfo"):
        try:
            with open(f"/proc/self/fdinfo/{number}", encoding="ascii") as file:
                count += sum(line.startswith("inotify wd:") for line in file)
        except FileNotFoundError:
            continue
    return count


def test_watches_of_removed_cgroups_are_given_back(mounts: Mounts) -> None:
    """The kernel keeps a watch as long as it caches the inode: a machine with churn would run out of them."""
    create(mounts, TOP)
    with Source() as source:
        tree = Tree(mounts, source)
        survey = Survey(tree, source)
        inventory = Inventory(tree)
        try:
            inventory.cgroups()
            inventory.cgroups()  # from the second look on
            before = watches()
            for number in range(20):
                create(mounts, f"{TOP}/{number}")
            made = [path for path in inventory.cgroups() if path.startswith(f"{TOP}/")]
            assert watches() >= before + 20
            assert len([survey.memory_bytes(one) for one in made]) == 20  # descriptors that keep the inodes
            for number in range(20):
                remove(mounts, f"{TOP}/{number}")
            inventory.cgroups()
            inventory.cgroups()
            assert watches() < before + 10  # others on this machine may make cgroups meanwhile
        finally:
            inventory.close()
            tree.close()


def test_the_survey_agrees_with_a_whole_look(mounts: Mounts) -> None:
    """The single numbers are those of a snapshot, or unknown where that knows nothing; gone is unknown."""
    create(mounts, TOP)
    with Source() as source, HostFiles() as host:
        tree = Tree(mounts, source)
        survey = Survey(tree, source)
        cgroup = tree.cgroup(TOP)
        snapshot = Collector(tree, source, host).snapshot(cgroup, Need.MEMORY | Need.CPU | Need.PIDS)
        assert survey.memory_bytes(TOP) == (snapshot.memory.current if snapshot.memory else None)
        assert survey.cpu_usec(TOP) == (snapshot.cpu.usage_usec if snapshot.cpu else None)
        assert survey.pids(TOP) == (snapshot.pids.current if snapshot.pids else None) == 0
        remove(mounts, TOP)
        assert (survey.memory_bytes(TOP), survey.pids(TOP), survey.cpu_usec(TOP)) == (None, None, None)
        tree.close()
