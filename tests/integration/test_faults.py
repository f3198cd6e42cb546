"""What the commands do when the machine fails them: reads that end with EIO, no descriptors left, a full disk."""

from __future__ import annotations

import json
import os
import resource
import shlex
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from cgroup_model.control import create, remove
from cgroup_model.mounts import Mounts, discover_mounts
from tests.integration.command_line import ANY_WORLD, NEEDS, PATIENCE_SECONDS, REASON, REPOSITORY, program

pytestmark = [pytest.mark.skipif(not NEEDS, reason=REASON), ANY_WORLD]

TOP = f"/cgscope-test-faults-{os.getpid()}"
CONTAINER = f"{TOP}/docker/{'ab' * 32}"
USAGE = {1: "memory.usage_in_bytes", 2: "memory.current"}
LOOKS = {
    "exporter": ("exporters", "--once"),
    "ctop": ("ctop", "--once", "--json"),
    "show": ("procfs_fuse", "show", CONTAINER, "proc/meminfo"),
}
"""One look by each program."""

_UNREADABLE = (
    'sleep infinity & mount --bind /proc/$!/mem "$1"; shift; status=0; "$@" || status=$?; kill $!; exit $status'
)
_FULL = 'mount -t tmpfs -o size=64k none "$1"; head -c 1M /dev/zero >"$1/filling" || true; shift; exec "$@"'


@pytest.fixture
def mounts() -> Iterator[Mounts]:
    """The machine's hierarchies, with a container in them."""
    mounts = discover_mounts()
    create(mounts, CONTAINER)
    yield mounts
    remove(mounts, TOP)


def where(fault: str, place: str, command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command where a fault has been made, which nobody else sees."""
    private = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", fault, "sh", place]
    return run([*private, *command])


def run(command: list[str], descriptors: int | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; no fault is told with a traceback."""
    limit = partial(resource.setrlimit, resource.RLIMIT_NOFILE, (descriptors, descriptors)) if descriptors else None
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "LC_ALL": "C"}
    done = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
        preexec_fn=limit,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.fixture
def unreadable(mounts: Mounts) -> str:
    """The file that says how much memory the container uses."""
    hierarchy = mounts.for_controller("memory")
    assert hierarchy is not None
    return os.path.join(hierarchy.directory(CONTAINER), USAGE[hierarchy.version])


def test_exporter_reads_an_error(unreadable: str) -> None:
    """A control file whose read ends with EIO costs the container's samples of memory, no others, and is counted."""
    page = where(_UNREADABLE, unreadable, program(*LOOKS["exporter"])).stdout
    names = {line.partition("{")[0] for line in page.splitlines() if f'id="{CONTAINER}"' in line}
    assert "container_threads" in names
    assert "container_memory_usage_bytes" not in names
    assert 'cgroup_exporter_read_problems_total{part="memory",reason="EIO"} 1' in page


def test_ctop_reads_an_error(unreadable: str) -> None:
    """The value is unknown, the row is there."""
    done = where(_UNREADABLE, unreadable, program(*LOOKS["ctop"]))
    (row,) = (one for one in json.loads(done.stdout)["cgroups"] if one["path"] == CONTAINER)
    assert (row["memory_bytes"], row["processes"]) == (None, 0)


def test_a_virtual_file_reads_an_error(unreadable: str) -> None:
    """A whole file is shown, and standard error says of which container, and why, it is not the container's own."""
    done = where(_UNREADABLE, unreadable, program(*LOOKS["show"]))
    assert (done.returncode, done.stdout.startswith("MemTotal:")) == (0, True)
    assert "EIO" in done.stderr
    assert CONTAINER in done.stderr


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
@pytest.mark.usefixtures("mounts")
def test_no_descriptors_left(look: tuple[str, ...]) -> None:
    """With few descriptors a look succeeds, or ends with the reason."""
    few = run(program(*look), descriptors=12)
    assert few.returncode == 0 or "Too many open files" in few.stderr, few
    some = run(program(*look), descriptors=64)
    assert some.returncode == 0, some


def test_mounting_on_a_full_disk(tmp_path: Path) -> None:
    """One line says why nothing was mounted, and nothing was."""
    (tmp_path / "mount").mkdir()
    (tmp_path / "full").mkdir()
    options = ["--state-dir", f"{tmp_path}/full/state", f"{tmp_path}/mount"]
    command = (
        f"{shlex.join(program('procfs_fuse', 'mount', *options))}; echo $?; grep -c {tmp_path}/mount /proc/self/mounts"
    )
    done = where(_FULL, f"{tmp_path}/full", ["sh", "-c", command])
    assert done.stdout.split() == ["1", "0"]
    assert "No space left on device" in done.stderr.splitlines()[-1]


def test_recording_on_a_full_disk(tmp_path: Path) -> None:
    """One line says which file has no room."""
    place = f"{tmp_path}/record"
    done = where(_FULL, str(tmp_path), program("ctop", "--once", "--record", place))
    assert (done.returncode, done.stderr.splitlines()[-1].startswith(f"ctop: cannot record to {place}")) == (1, True)
