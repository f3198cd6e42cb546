"""What is scarce: room for state, a process that the kernel does not let die."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cgroup_model.mounts import discover_mounts
from procfs_fuse import syscalls
from procfs_fuse.transport import mounting
from tests.integration.command_line import NEEDS, REASON, CommandLine, eventually
from tests.integration.survival import Served, changing_containers
from tests.integration.takeover import Reader

pytestmark = pytest.mark.skipif(not NEEDS, reason=REASON)


@pytest.fixture
def small_run(tmp_path: Path) -> Iterator[Path]:
    """A /run of one MiB."""
    place = tmp_path / "run"
    place.mkdir(mode=0o700)
    syscalls.mount("tmpfs", str(place), "tmpfs", data="size=1m,mode=700")
    yield place
    syscalls.umount(str(place), syscalls.MNT_DETACH)


def fill(folder: Path) -> None:
    """Leave no room."""
    with (folder / "filling").open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            while True:
                try:
                    if file.write(bytes(size)) < size:
                        break
                except OSError:
                    break


def test_full_run_is_survived(small_run: Path, place: Path) -> None:
    """When nothing more fits into the state directory, everything is served, also by the next worker; it is counted."""
    command = CommandLine(small_run / "state")
    served = Served(command, place)
    fill(small_run)
    with changing_containers(2) as targets:
        for _ in range(2):
            for target in targets:
                assert (served.open / target.name / "proc/stat").read_bytes().startswith(b"cpu ")
            served.kill_worker()
    (status,) = command.status()
    assert (status["state"], status["errors"]) == ("serving", {})
    (small_run / "filling").unlink()
    command.close()


def test_start_without_room_is_one_line(small_run: Path, place: Path) -> None:
    """A state directory on a full file system: nothing is mounted, and one line says why."""
    fill(small_run)
    command = CommandLine(small_run / "state")
    found = command("mount", str(place))
    assert found.returncode == 1
    assert "No space left" in found.stderr
    assert len(found.stderr.splitlines()) == 1
    assert mounting.mount_at(str(place)) is None


@pytest.fixture
def freezer() -> Iterator[Path]:
    """A cgroup whose processes can be stopped so that not even SIGKILL ends them: the freezer of cgroup v1."""
    hierarchy = discover_mounts().for_controller("freezer")
    if hierarchy is None or hierarchy.version != 1:
        pytest.skip("no freezer of cgroup v1 here")
    directory = Path(hierarchy.directory(f"/cgscope-test-freezer-{os.getpid()}"))
    directory.mkdir()
    yield directory
    (directory / "freezer.state").write_text("THAWED")
    assert eventually(lambda: not (directory / "cgroup.procs").read_text())
    directory.rmdir()


def test_worker_that_does_not_die_is_passed_by(freezer: Path, tmp_path: Path, place: Path) -> None:
    """A worker stuck in the kernel keeps its place in the journal, another serves from the next, readers go on."""
    command = CommandLine(tmp_path / "state")
    served = Served(command, place, "--request-timeout", "500ms")
    before = served.complete()["worker_pids"][0]
    (freezer / "cgroup.procs").write_text(str(before))
    (freezer / "freezer.state").write_text("FROZEN")
    assert eventually(lambda: (freezer / "freezer.state").read_text() == "FROZEN\n")
    reader = Reader()
    try:
        assert "." in reader.call(f"open({str(place / 'proc/uptime')!r}).read()")
        assert before in served.keeper()["worker_pids"]
        assert os.path.exists(f"/proc/{before}")
    finally:
        (freezer / "freezer.state").write_text("THAWED")
        reader.close()
    assert eventually(lambda: before not in served.keeper()["worker_pids"])
    served.complete()
    command.close()
