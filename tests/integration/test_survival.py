"""Containers notice nothing: workers killed, hung and upgraded, keepers killed, everything killed."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.integration.command_line import NEEDS, PATIENCE_SECONDS, REASON, REPOSITORY, CommandLine, eventually
from tests.integration.survival import IN_GUEST, NATIVE_ONLY, Served, changing_containers, hot_readers

pytestmark = pytest.mark.skipif(not NEEDS, reason=REASON)

READERS = 4
MANY_KILLS = int(os.environ.get("CGSCOPE_KILLS", "20000"))
"""For `make test-long`: a day's worth of accidents; fewer where there is less time."""
REQUEST_TIMEOUT = ("--request-timeout", "600ms")


def told(reports: list[dict[str, Any]], what: str) -> None:
    """Say how it was, in the output of a test that is asked for it (-s or -rP)."""
    calls, longest = sum(one["calls"] for one in reports), max(one["longest_seconds"] for one in reports)
    print(f"{what}: {calls} calls, the longest stall {longest * 1000:.0f} ms")  # noqa: T201


@pytest.mark.parametrize(
    "kills", [12 if IN_GUEST else 30, pytest.param(MANY_KILLS, marks=pytest.mark.long)], ids=["few", "many"]
)
def test_killed_workers_are_not_noticed(command: CommandLine, place: Path, kills: int) -> None:
    """However often a worker is killed, and at whatever moment: no read fails, and none is wrong."""
    moment = random.Random(kills)  # noqa: S311 - repeatable, not secret
    served = Served(command, place)
    with changing_containers(READERS) as targets, hot_readers(served, targets) as reports:
        for _ in range(kills):
            served.kill_worker(after_seconds=moment.random() * 0.01)
    told(reports, f"{kills} kills")
    assert all(set(one["files"]) > {"proc/meminfo", "proc/stat", "proc/uptime"} for one in reports)
    assert served.keeper()["restarts"] >= kills
    usual = os.getpriority(os.PRIO_PROCESS, 0)
    assert eventually(lambda: os.getpriority(os.PRIO_PROCESS, served.keeper()["worker_pids"][0]) == usual)
    assert command.status()[0]["errors"] == {}


@NATIVE_ONLY
@pytest.mark.parametrize("times", [2, pytest.param(20, marks=pytest.mark.long)], ids=["few", "many"])
def test_hung_workers_are_replaced(command: CommandLine, place: Path, times: int) -> None:
    """A worker that stands still is taken for dead; readers wait for that moment and notice nothing else."""
    served = Served(command, place, *REQUEST_TIMEOUT)
    with changing_containers(READERS) as targets, hot_readers(served, targets) as reports:
        for _ in range(times):
            served.kill_worker(signal.SIGSTOP)
    told(reports, f"{times} hung")


@NATIVE_ONLY
@pytest.mark.parametrize("times", [2, pytest.param(20, marks=pytest.mark.long)], ids=["few", "many"])
def test_upgrades_are_not_noticed(command: CommandLine, place: Path, times: int) -> None:
    """`restart` replaces keeper and workers by freshly executed ones; nobody who reads notices."""
    served = Served(command, place)
    with changing_containers(READERS) as targets, hot_readers(served, targets) as reports:
        for _ in range(times):
            before = served.complete()
            found = command("restart")
            assert (found.returncode, found.stderr) == (0, "")
            after = served.complete()
            assert after["generation"] == before["generation"] + 1
            assert after["keeper_pid"] == before["keeper_pid"]  # what a service manager watches
            assert not {*before["worker_pids"], before["nursery_pid"]} & {*after["worker_pids"], after["nursery_pid"]}
    told(reports, f"{times} upgrades")


@NATIVE_ONLY
@pytest.mark.parametrize(
    ("module", "change", "said"),
    [
        (
            "views/uptime.py",
            "def render(snapshot):\n    raise ValueError('not finished')\n",
            "RuntimeError: proc/uptime: ValueError: not finished",
        ),
        ("keeper/journal.py", "FORMAT += 1\n", "ValueError: the journal is of another version of procfs-fuse"),
    ],
    ids=["broken", "another journal"],
)
def test_version_that_fails_its_self_test_is_refused(
    command: CommandLine, place: Path, tmp_path: Path, module: str, change: str, said: str
) -> None:
    """`restart` by a version that cannot render a file says which one, and the same processes serve on.

    So it does by one that lays out the journal differently.
    """
    served = Served(command, place)
    before = served.complete()
    new = tmp_path / "new"
    shutil.copytree(REPOSITORY / "procfs_fuse", new / "procfs_fuse", ignore=shutil.ignore_patterns("__pycache__"))
    for package in ("cgroup_model", "cgscope"):
        (new / package).symlink_to(REPOSITORY / package)
    with (new / "procfs_fuse" / module).open("a") as file:
        file.write(f"\n\n{change}")
    command.environment["PYTHONPATH"] = str(new)
    found = command("restart")
    command.environment["PYTHONPATH"] = str(REPOSITORY)
    assert found.returncode == 1
    assert f"the new version fails its self-test: {said}" in found.stderr
    after = served.complete()
    assert [after[key] for key in ("keeper_pid", "generation", "worker_pids")] == [
        before[key] for key in ("keeper_pid", "generation", "worker_pids")
    ]


@NATIVE_ONLY
@pytest.mark.parametrize("times", [2, pytest.param(20, marks=pytest.mark.long)], ids=["few", "many"])
def test_killed_keepers_are_not_noticed(command: CommandLine, place: Path, times: int) -> None:
    """When the keeper dies, the worker that serves takes its place, and has others serve."""
    served = Served(command, place)
    with changing_containers(READERS) as targets, hot_readers(served, targets) as reports:
        for _ in range(times):
            before = served.complete()
            os.kill(before["keeper_pid"], signal.SIGKILL)
            assert eventually(lambda: served.complete()["keeper_pid"] == before["worker_pids"][0])  # noqa: B023
    told(reports, f"{times} keepers killed")
    assert [one["state"] for one in command.status()] == ["serving"]


@NATIVE_ONLY
def test_reads_go_on_while_a_keeper_begins(command: CommandLine, place: Path) -> None:
    """Whoever takes a dead keeper's place leaves a child that serves, however long it takes itself."""
    served = Served(command, place)
    before = served.complete()
    successor = before["worker_pids"][0]
    os.kill(before["keeper_pid"], signal.SIGKILL)
    try:
        assert eventually(lambda: "--resume" in Path(f"/proc/{successor}/cmdline").read_text())
        os.kill(successor, signal.SIGSTOP)
        words = ["head", "-n", "1", str(place / "proc/meminfo"), str(place / "proc/uptime")]
        found = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_SECONDS / 2, check=False)
        assert (found.returncode, found.stderr) == (0, "")
        assert "MemTotal" in found.stdout
    finally:
        os.kill(successor, signal.SIGCONT)
    assert served.complete()["keeper_pid"] == successor
