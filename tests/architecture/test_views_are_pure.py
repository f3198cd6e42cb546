"""Views do no input or output and keep no state: armed audit hook, rendered twice."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cgroup_model.snapshot import (
    UNLIMITED,
    Cpu,
    CpuTime,
    CpuTimes,
    Host,
    Io,
    IoDevice,
    Load,
    Memory,
    MemoryBounds,
    MemoryStat,
    Pids,
    Pressure,
    PressureLine,
    PressureResource,
    ShownCpus,
    Snapshot,
    Tasks,
)
from cgroup_model.sysfiles import cpu_tree, node_tree
from procfs_fuse.views import TREES, VIEWS, Tree, View

MEBIBYTE = 1 << 20


class Audit:
    """Records what the interpreter is asked to do while armed. A hook cannot be removed: there is one per session."""

    def __init__(self) -> None:
        self.events: list[str] | None = None
        sys.addaudithook(self._hook)

    def _hook(self, event: str, _arguments: tuple[object, ...]) -> None:
        if self.events is not None:
            self.events.append(event)

    @contextmanager
    def armed(self) -> Iterator[list[str]]:
        """Yield the list to which every audit event of the block is added."""
        events: list[str] = []
        self.events = events
        try:
            yield events
        finally:
            self.events = None


@pytest.fixture(scope="session")
def audit() -> Audit:
    """Return the session's only audit hook."""
    return Audit()


def host_of_this_machine() -> Host:
    """Return the real files: whatever this kernel writes has to be rendered without a second look at it."""
    names = ("meminfo", "stat", "cpuinfo", "swaps", "diskstats", "vmstat", "partitions")
    files: dict[str, Any] = {name: Path("/proc", name).read_bytes() for name in names}
    folders: dict[str, Any] = {"cpu_files": cpu_tree("/sys").read(0), "node_files": node_tree("/sys").read(0)}
    return Host(**files, **folders, online_cpus=(0,), pid_max=32768, threads_max=10000)


def limited() -> Snapshot:
    """Return a container of 256 MiB and one CPU with every part known."""
    line = PressureLine(avg10=1.5, avg60=0.5, avg300=0.1, total_usec=123456)
    pressure = PressureResource(some=line, full=line, raw=b"some avg10=1.50 avg60=0.50 avg300=0.10 total=123456\n")
    return Snapshot(
        path="/container",
        host=host_of_this_machine(),
        age_seconds=12.5,
        memory=Memory(current=100 * MEBIBYTE, max=256 * MEBIBYTE, stat=MemoryStat(anon=60 * MEBIBYTE, file=MEBIBYTE)),
        memory_bounds=MemoryBounds(max=256 * MEBIBYTE, free=156 * MEBIBYTE, available=160 * MEBIBYTE),
        cpu=Cpu(usage_usec=3_000_000, user_usec=2_000_000, system_usec=1_000_000, quota_usec=100_000),
        cpus=ShownCpus(physical=(0,), usable=(0,), quota_cpus=1.0),
        cpu_times=CpuTimes(cpus=(CpuTime(user=2_000_000, system=1_000_000, idle=9_000_000),)),
        io=Io(devices=(IoDevice(major=8, minor=0, rbytes=4096, wbytes=8192, rios=1, wios=2),)),
        pids=Pids(current=3, max=100, effective_max=100),
        pressure=Pressure(cpu=pressure, memory=pressure, io=pressure),
        tasks=Tasks(running=1, total=3, processes=2, last_pid=7, highest_pid=7, forks=9),
        load=Load(one=0.5, five=0.25, fifteen=0.1),
    )


def unlimited() -> Snapshot:
    """Return a container of which nothing is known but that it has no limits."""
    return Snapshot(
        path="/container",
        host=host_of_this_machine(),
        memory_bounds=MemoryBounds(max=UNLIMITED, swap_max=UNLIMITED),
        cpus=ShownCpus(physical=(0,), usable=(0,), quota_cpus=UNLIMITED),
        pids=Pids(max=UNLIMITED, effective_max=UNLIMITED),
    )


@pytest.mark.parametrize("snapshot", [limited, unlimited])
@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_views_do_nothing_but_render(audit: Audit, view: View, snapshot: Callable[[], Snapshot]) -> None:
    """A view opens, imports, runs and connects nothing, and the same snapshot gives the same bytes."""
    given = snapshot()
    with audit.armed() as events:
        first, second = view.render(given), view.render(given)
    assert events == []
    assert first == second


@pytest.mark.parametrize("snapshot", [limited, unlimited])
@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
def test_folders_do_nothing_but_list_and_render(audit: Audit, tree: Tree, snapshot: Callable[[], Snapshot]) -> None:
    """The same for the folders whose files depend on the container, and for each of their files."""
    given = snapshot()

    def render() -> dict[str, bytes]:
        return {view.PATH: view.render(given) for view in tree.leaves(tree.key(given))}

    with audit.armed() as events:
        first, second = render(), render()
    assert events == []
    assert first == second != {}


def test_the_hook_hears(audit: Audit) -> None:
    """An opened file is heard: otherwise the test above could not fail."""
    with audit.armed() as events, open("/proc/meminfo", "rb"):
        pass
    assert "open" in events
