"""A machine that slept, and clocks that were set: nothing that a container reads goes backwards."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from cgroup_model.collect import Collector
from cgroup_model.history import History
from cgroup_model.host import HostFiles
from cgroup_model.procfs import Proc
from cgroup_model.rates import Moment, rates
from cgroup_model.snapshot import Need, Policy, Snapshot
from procfs_fuse.views import VIEWS
from tests.scenes import Replay, names

HOUR = 3600.0


@dataclass
class Machine:
    """A recorded machine whose clocks are moved by hand, seconds; ``awake`` stands still while it sleeps."""

    replay: Replay
    history: History
    collector: Collector
    boot: float
    awake: float

    def look(self) -> Iterator[tuple[str, Snapshot]]:
        """Look at every container with everything that its files need."""
        for path, cgroup in self.replay.tree.containers().items():
            yield path, self.collector.snapshot(cgroup, ~Need.NOTHING)

    def move(self, awake: float, asleep: float = 0.0) -> None:
        """Let time pass, and account loads as the sampler does."""
        self.boot += awake + asleep
        self.awake += awake
        self.history.sample_loads()


@contextmanager
def machine(scene: str, folder: Path) -> Iterator[Machine]:
    """Unpack a scene; its clocks begin where they were recorded."""
    with Replay(scene, folder) as replay:
        proc, host = Proc(str(folder / "proc")), HostFiles(str(folder / "proc"), str(folder / "sys"))
        start = replay.boot_seconds
        clocks = Machine(replay, replay.history, replay.collector, start, start)
        history = History(
            replay.tree, replay.source, proc, boottime=lambda: clocks.boot, monotonic=lambda: clocks.awake
        )
        clocks.history = history
        clocks.collector = Collector(replay.tree, replay.source, host, Policy(), history, lambda: clocks.boot)
        try:
            yield clocks
        finally:
            proc.close()
            host.close()


def shown(snapshot: Snapshot, name: str) -> list[float]:
    """Give the numbers of a file, of lines that count something."""
    text = VIEWS[name].render(snapshot).decode()
    lines = [line for line in text.splitlines() if not line.startswith(("intr", "softirq", "btime", "procs_"))]
    return [float(word) for line in lines for word in line.split() if word.replace(".", "", 1).isdigit()]


def never_fell(before: Snapshot, after: Snapshot) -> bool:
    """Tell whether no number of proc/stat is less than it was."""
    return all(new >= old for old, new in zip(shown(before, "proc/stat"), shown(after, "proc/stat"), strict=True))


@pytest.mark.parametrize("scene", names())
def test_suspend(scene: str, tmp_path: Path) -> None:
    """Asleep for three hours: uptime counts them, as the kernel's does; averages do not; CPU counters never fall."""
    with machine(scene, tmp_path) as clocks:
        dict(clocks.look())
        clocks.move(awake=600)
        before = dict(clocks.look())
        clocks.move(awake=0.1, asleep=3 * HOUR)
        for path, after in clocks.look():
            if before[path].age_seconds is None:
                continue
            old, new = (shown(one, "proc/uptime")[0] for one in (before[path], after))
            assert new == pytest.approx(old + 3 * HOUR, abs=1)
            assert after.load == before[path].load
            assert never_fell(before[path], after)
            found = rates(Moment(1, before[path]), Moment(1, after))
            assert found is not None
            known = (found.cpu_cores, found.read_bytes, found.throttled_ratio)
            assert all(value is None or value >= 0 for value in known)


@pytest.mark.parametrize("scene", names())
def test_a_machine_that_is_taken_back(scene: str, tmp_path: Path) -> None:
    """The state of an hour ago is restored, clocks and all: nothing falls, no rate is made up, and time goes on."""
    with machine(scene, tmp_path) as clocks:
        dict(clocks.look())
        clocks.move(awake=2 * HOUR)
        before = dict(clocks.look())
        clocks.move(awake=-HOUR)
        for path, after in clocks.look():
            assert never_fell(before[path], after)
            assert rates(Moment(1, before[path]), Moment(1, after)) is None
            assert all(number >= 0 for number in shown(after, "proc/uptime"))
        clocks.move(awake=2 * HOUR)
        for path, after in clocks.look():
            if after.age_seconds is not None:
                assert shown(after, "proc/uptime")[0] > shown(before[path], "proc/uptime")[0]


@pytest.mark.parametrize("jump", [-10 * 365 * 86400.0, 365 * 86400.0])
def test_the_time_of_day_is_of_no_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump: float) -> None:
    """Somebody sets the clock by years: a container reads the same."""
    read = ("proc/uptime", "proc/stat", "proc/loadavg")
    with machine(names()[0], tmp_path) as clocks:
        before = {path: [VIEWS[name].render(one) for name in read] for path, one in clocks.look()}
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + jump)
        assert {path: [VIEWS[name].render(one) for name in read] for path, one in clocks.look()} == before
