"""`umount` while containers have the files: they get the machine's back, unless they are to keep ours."""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from procfs_fuse.attach import mountinfo
from procfs_fuse.attach.attachment import attach_from
from procfs_fuse.attach.containers import Machine
from procfs_fuse.attach.sources import Supply
from procfs_fuse.instances import Registry
from procfs_fuse.transport import mounting
from scripts.debian_tools import Tool
from tests.integration.command_line import NEEDS, REASON, CommandLine, eventually
from tests.integration.engines import oci_runtime, truth
from tests.integration.engines.oci_runtime import Container, Runtime, started
from tests.integration.engines.unshared import unshared

pytestmark = [pytest.mark.skipif(not NEEDS, reason=REASON), truth.NATIVE]

PID_MAX = "/proc/sys/kernel/pid_max"
TOTAL = "head -n 1 /proc/meminfo"
OURS = f"MemTotal: {truth.LIMITS.memory_bytes >> 10} kB"
# It reads all the time, and writes down what fails.
WATCH = "(while :; do cat /proc/meminfo /proc/stat /proc/uptime >/dev/null || break; done) >/dev/failed 2>&1 &"


@pytest.fixture
def runc(tmp_path: Path, tool: Callable[[str], Tool]) -> Iterator[Runtime]:
    """Without an engine."""
    yield Runtime(tool("runc"), tmp_path)
    oci_runtime.discard(oci_runtime.PARENT)


def total(container: Container) -> str:
    """Its memory, as it is told."""
    return " ".join(container.sh(f"{TOTAL} 2>&1 || true").split())


def machine_total() -> str:
    """The machine's."""
    return " ".join(Path("/proc/meminfo").read_text().partition("\n")[0].split())


def attach(command: CommandLine, container: Container) -> None:
    """Attach it; from then on it is shown its limit."""
    assert command("attach", container.cgroup).returncode == 0
    assert total(container) == OURS


def test_containers_get_the_machines_files_back(
    command: CommandLine, place: Path, runc: Runtime, root_file_system: Path
) -> None:
    """Attached or with -v, frozen or reading: each gets them, and no read fails."""
    bind = {"destination": "/proc/meminfo", "source": f"{place}/proc/meminfo", "options": ["bind"]}
    assert command("mount", str(place)).returncode == 0
    mounts = [*oci_runtime.configuration(root_file_system, "two")["mounts"], bind]
    with (
        started(runc, root_file_system) as attached,
        started(runc, root_file_system, "two", mounts=mounts) as bound,
    ):
        attach(command, attached)
        assert total(bound) == OURS
        attached.sh(WATCH)
        assert runc("pause", bound.id).returncode == 0
        done = command("umount", "--timeout", "20", str(place))
        assert runc("resume", bound.id).returncode == 0
        assert (done.returncode, done.stdout, done.stderr) == (0, "2 containers detached\n", "")
        assert [total(one) for one in (attached, bound)] == [machine_total()] * 2
        assert attached.sh("cat /dev/failed") == ""
    assert command.clean()


def test_kept_files_live_again(command: CommandLine, place: Path, runc: Runtime, root_file_system: Path) -> None:
    """With --keep they are dead until the next `mount`, and show what the one after says; else dead ones go, too."""
    assert command("mount", str(place)).returncode == 0
    with started(runc, root_file_system) as container:
        attach(command, container)
        done = command("umount", "--keep", "--timeout", "0", str(place))
        assert (done.returncode, done.stdout) == (0, "")
        assert "not connected" in total(container)
        assert command("mount", str(place)).returncode == 0
        assert eventually(lambda: total(container) == OURS)
        assert container.sh(f"cat {PID_MAX}") != Path(PID_MAX).read_text()
        assert command("mount", "--pid-max", "host", str(place)).returncode == 0
        assert container.sh(f"cat {PID_MAX}") == Path(PID_MAX).read_text()
        command.kill_all(command.status()[0])
        assert eventually(lambda: "not connected" in total(container))
        with locked_copy(container):
            done = command("umount", str(place))
        assert (done.returncode, done.stdout) == (1, "")
        assert re.fullmatch(r"procfs-fuse umount: 1 container detached, but not [^\n]*process \d+[^\n]*\n", done.stderr)
        assert total(container) == machine_total()
    assert command.clean()


def test_what_was_made_ready_is_not_attached_afterwards(command: CommandLine, place: Path) -> None:
    """Files that were cloned for a container while the instance was mounted would be dead in it."""
    assert command("mount", str(place)).returncode == 0
    instance = Registry(command.state_dir).select(str(place))
    with unshared("umount") as container, Machine() as machine:
        supply = Supply(instance, machine.key_of(container.path))
        assert supply.clones()
        for path in (instance.mountpoint, instance.containers):
            mounting.unmount(path, detach=True)
        outcome = attach_from(instance, container.pid, lambda: supply)
        assert outcome.problem == "the instance was unmounted meanwhile"
        assert outcome.files == ()
    assert eventually(lambda: not instance.alive)


def test_who_looks_in_from_outside_is_in_nobodys_way(command: CommandLine, place: Path) -> None:
    """Somebody of a lower number is in its mounts but not in its pid namespace, where no such pid_max is to be seen."""
    assert command("mount", str(place)).returncode == 0
    words = ["sh", "-c", 'read pid; exec nsenter -t "$pid" -m sleep 600']
    with subprocess.Popen(words, stdin=subprocess.PIPE, text=True) as visitor, unshared("umount") as container:
        try:
            assert command("attach", f"pid:{container.pid}").returncode == 0
            assert PID_MAX in bound_in(container.pid)
            assert visitor.stdin
            visitor.stdin.write(f"{container.pid}\n")
            visitor.stdin.close()
            assert eventually(lambda: namespace(visitor.pid) == namespace(container.pid))
            done = command("umount", "--timeout", "0", str(place))
            assert (done.stdout, done.stderr) == ("1 container detached\n", "")
            assert bound_in(container.pid) == []
        finally:
            visitor.kill()


def bound_in(pid: int) -> list[str]:
    """Where a container has files of ours."""
    return [line.mountpoint for line in mountinfo.of_process(pid) if line.of_one_container]


def namespace(pid: int) -> str:
    """Whose mounts a process sees."""
    return str(Path(f"/proc/{pid}/ns/mnt").readlink())


@contextlib.contextmanager
def locked_copy(container: Container) -> Iterator[None]:
    """Somebody with fewer rights who has copies of its mounts: they are locked in there (mount_namespaces(7))."""
    words = ["nsenter", "-t", str(container.pid), "-m", "unshare", "-Um", "sleep", "600"]
    with subprocess.Popen(words) as process:
        try:
            assert eventually(lambda: Path(f"/proc/{process.pid}/comm").read_text() == "sleep\n")
            yield
        finally:
            process.kill()
