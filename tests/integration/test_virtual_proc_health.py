"""The virtual /proc's own health, as an exporter tells it: deaths of workers, silence, total loss, unmounting."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from cgroup_model.procfs import Proc
from exporters.families import FAMILIES
from exporters.readers.procfs_fuse import Instance, ProcfsFuseReader
from exporters.setup import Exporter, Settings
from tests.integration.command_line import NEEDS, REASON, CommandLine, eventually
from tests.integration.survival import NATIVE_ONLY, Served

pytestmark = pytest.mark.skipif(not NEEDS, reason=REASON)


class Asking:
    """Asks like an exporter, as often as wanted."""

    def __init__(self, base: str) -> None:
        self.proc = Proc()
        self._reader = ProcfsFuseReader(base, self.proc)

    def now(self) -> Instance | None:
        """What is told of the only instance; None without one."""
        self._reader.begin()
        return next(iter(self._reader.read().instances), None)


@pytest.fixture
def asking(command: CommandLine) -> Iterator[Asking]:
    """An exporter's reader of the test's own state directory."""
    found = Asking(command.state_dir)
    yield found
    found.proc.close()


def reads(one: Instance) -> int:
    """How many reads the open connection has answered."""
    return int((one.told("operations") or {}).get("open", {}).get("read", 0))


@NATIVE_ONLY
def test_the_whole_page_tells_of_it(command: CommandLine, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole exporter finds the instance by the variable that the commands know, and asks for nothing else."""
    Served(command, place).complete()
    monkeypatch.setenv("CGSCOPE_STATE_DIR", command.state_dir)
    collectors = {name: name == "procfs_fuse" for name in FAMILIES}
    with Exporter(Settings(collectors=collectors, kmsg=None)) as exporter:
        sheet = exporter.scraper.scrape()
    found = {metric.name: row for metric, places in sheet.metrics() for part, _ in places for row in part.rows}
    assert {"procfs_fuse_up", "procfs_fuse_requests_total", "procfs_fuse_process_resident_memory_bytes"} <= set(found)
    assert found["procfs_fuse_up"][1] == (str(place),)


def test_requests_are_counted_and_deaths_are_seen(command: CommandLine, place: Path, asking: Asking) -> None:
    """Reads show; a killed worker shows as a replacement, and the next one begins to count at the bottom."""
    served = Served(command, place)
    served.complete()
    before = asking.now()
    assert before is not None
    assert (before.up, before.serving, before.told("restarts")) == (True, True, 0)
    for _ in range(100):
        (place / "proc/uptime").read_bytes()
    after = asking.now()
    assert after is not None
    assert reads(after) >= reads(before) + 100
    assert set(after.processes) == {"keeper", "worker", "standby", "nursery"}
    assert all(one.resident_bytes > 1 << 20 for one in after.processes.values())
    served.kill_worker()
    then = asking.now()
    assert then is not None
    assert then.told("restarts") == 1
    assert reads(then) < reads(after)


@NATIVE_ONLY
def test_a_dead_instance_is_told_until_it_is_cleared_away(command: CommandLine, place: Path, asking: Asking) -> None:
    """Everything is killed: the series stays, at 0, so that an alert can fire; unmounted on purpose, it ends."""
    served = Served(command, place)
    command.kill_all(served.complete())
    assert eventually(lambda: (found := asking.now()) is not None and not found.up)
    found = asking.now()
    assert found is not None
    assert (found.mountpoint, found.serving, dict(found.processes)) == (str(place), None, {})
    assert command("umount", str(place)).returncode == 0
    assert asking.now() is None


@NATIVE_ONLY
def test_a_silent_keeper_does_not_hold_up_the_page(command: CommandLine, place: Path, asking: Asking) -> None:
    """A stopped process is not up; the answer is there all the same, and it is up again when it goes on."""
    keeper = Served(command, place).complete()["keeper_pid"]
    os.kill(keeper, signal.SIGSTOP)
    try:
        found = asking.now()
        assert found is not None
        assert not found.up
    finally:
        os.kill(keeper, signal.SIGCONT)
    assert eventually(lambda: (found := asking.now()) is not None and found.up)
