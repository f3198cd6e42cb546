"""`procfs-fuse hold`: a rolling update of pods that drops no mount."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from procfs_fuse.attach import report
from tests.integration.command_line import NEEDS, REASON, CommandLine, alive, eventually
from tests.integration.engines import truth
from tests.integration.engines.unshared import unshared

pytestmark = [pytest.mark.skipif(not NEEDS, reason=REASON), truth.NATIVE]

READER = """
import errno, json, os, sys
reads = failures = 0
while True:
    try:
        with open(sys.argv[1], "rb") as file:
            failures += not file.read().startswith(b"MemTotal:")
        reads += 1
    except OSError as error:
        failures += error.errno != errno.EIO  # what the keeper says when nobody has served for five seconds
    with open(sys.argv[2] + ".new", "w") as file:
        json.dump([reads, failures], file)
    os.replace(sys.argv[2] + ".new", sys.argv[2])
"""


@pytest.fixture
def command(tmp_path: Path) -> Iterator[CommandLine]:
    """The command with a state directory of its own."""
    command = CommandLine(tmp_path / "state")
    yield command
    command.close()


@contextlib.contextmanager
def holder(
    command: CommandLine, mountpoint: Path, *options: str, expect: bool = True
) -> Iterator[subprocess.Popen[str]]:
    """A holder, ended afterwards."""
    before = {one["pid"] for one in command.status()}
    words = command.words("hold", "--mount", str(mountpoint), *options)
    process = subprocess.Popen(words, env=command.environment, stderr=subprocess.PIPE, text=True)
    try:
        if expect:
            assert eventually(lambda: {one["pid"] for one in command.status() if one["state"] == "serving"} - before)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=120)


@contextlib.contextmanager
def reading(command: CommandLine, file: Path, report: Path, *, inside: Sequence[str] = ()) -> Iterator[None]:
    """A reader without pause, for whom the mount must never have been gone; ``inside`` are words in front.

    On a machine that is so slow that a new server takes more than five seconds, reads are refused until it serves.
    """
    process = subprocess.Popen([*inside, *command.words()[:1], "-c", READER, str(file), str(report)])

    def reads() -> int:
        return int(json.loads(report.read_text())[0]) if report.exists() else 0

    try:
        assert eventually(lambda: reads() > 0)
        yield
        before = reads()
        assert eventually(lambda: reads() > before)
    finally:
        process.kill()
        process.wait()
    assert json.loads(report.read_text())[1] == 0


def test_the_next_holder_takes_the_mounts_over(command: CommandLine, tmp_path: Path) -> None:
    """While one reads without pause the second holder serves the same mounts and the first ends: the mounts stay."""
    place = tmp_path / "mount"
    place.mkdir()
    with contextlib.ExitStack() as new, contextlib.ExitStack() as old:
        first = old.enter_context(holder(command, place))
        (before,) = command.status()
        device = os.stat(place / "proc").st_dev
        with reading(command, place / "proc/meminfo", tmp_path / "report"):
            new.enter_context(holder(command, place))
            (after,) = command.status()
            assert after["pid"] != before["pid"]
            assert first.poll() is None  # Kubernetes ends it when the new pod is ready
            old.close()
            assert os.stat(place / "proc").st_dev == device
            assert command.status()[0]["state"] == "serving"


def test_attached_files_are_taken_over(command: CommandLine, tmp_path: Path) -> None:
    """A container that reads its files without pause goes on reading them, also while the next holder attaches."""
    place = tmp_path / "mount"
    place.mkdir()
    with unshared("handover-reader") as container, contextlib.ExitStack() as new, contextlib.ExitStack() as old:
        old.enter_context(holder(command, place))
        assert command("attach", container.path).returncode == 0
        inside = ["nsenter", "--target", str(container.pid), "--mount", "--pid"]
        with reading(command, Path("/proc/meminfo"), tmp_path / "report", inside=inside):
            new.enter_context(holder(command, place))
            old.close()


def watcher(command: CommandLine) -> int | None:
    """The process that attaches new containers, if it runs."""
    (instance,) = command.status()
    told = report.read(instance["state_dir"])
    return told["watcher"] if told is not None and alive(told["watcher"]) else None


def test_the_next_holder_watches(command: CommandLine, tmp_path: Path) -> None:
    """New containers are attached by a process of the new holder: the old one's ends with its pod."""
    place = tmp_path / "mount"
    place.mkdir()
    with contextlib.ExitStack() as new, contextlib.ExitStack() as old:
        old.enter_context(holder(command, place, "--", "--attach", "lxc"))
        assert eventually(lambda: watcher(command))
        before = watcher(command)
        assert before is not None
        new.enter_context(holder(command, place, "--", "--attach", "lxc"))
        assert eventually(lambda: watcher(command) not in {before, None})
        assert not alive(before)


def test_another_place_is_taken_over_from_nobody(command: CommandLine, tmp_path: Path) -> None:
    """A holder of another mount point, a folder that it makes, serves beside the first one."""
    (tmp_path / "mount").mkdir()
    with holder(command, tmp_path / "mount") as first, holder(command, tmp_path / "new" / "place"):
        assert {one["state"] for one in command.status()} == {"serving"}
        assert len(command.status()) == 2
        assert first.poll() is None


def test_the_end_leaves_no_dead_files(command: CommandLine, tmp_path: Path) -> None:
    """When the last holder is told to stop, twice, containers get the machine's files back, and nothing is left."""
    place = tmp_path / "mount"
    place.mkdir()
    machine = Path("/proc/meminfo").read_text().partition("\n")[0]
    with unshared("handover") as container:
        with holder(command, place) as held:
            assert command("attach", container.path).returncode == 0
            assert container.sh("head -n 1 /proc/meminfo").split()[1] == str((128 << 20) >> 10)
            held.send_signal(signal.SIGTERM)
        assert held.returncode == 0
        assert container.sh("head -n 1 /proc/meminfo").rstrip() == machine
    assert command.clean()


def test_the_old_holder_goes_on_when_the_new_one_fails(command: CommandLine, tmp_path: Path) -> None:
    """A new version that cannot serve gives the mounts back."""
    place = tmp_path / "mount"
    place.mkdir()
    with holder(command, place) as first, reading(command, place / "proc/meminfo", tmp_path / "report"):
        (before,) = command.status()
        words = command.words("hold", "--mount", str(place), "--", "--ttl", "wrong")
        broken = subprocess.Popen(words, env=command.environment, stderr=subprocess.DEVNULL)
        assert eventually(lambda: not any(one["state"] == "serving" for one in command.status()))
        assert first.poll() is None
        broken.kill()
        broken.wait()
        assert eventually(
            lambda: {one["pid"] for one in command.status() if one["state"] == "serving"} - {before["pid"]}
        )


def test_a_killed_server_is_started_again_on_the_same_mounts(command: CommandLine, tmp_path: Path) -> None:
    """When the keeper itself is killed the holder starts it again on the descriptors it holds."""
    place = tmp_path / "mount"
    place.mkdir()
    with holder(command, place):
        (before,) = command.status()
        device = os.stat(place / "proc").st_dev
        with reading(command, place / "proc/meminfo", tmp_path / "report"):
            os.kill(before["pid"], signal.SIGKILL)
            assert eventually(
                lambda: {one["pid"] for one in command.status() if one["state"] == "serving"} - {before["pid"]}
            )
        assert os.stat(place / "proc").st_dev == device
