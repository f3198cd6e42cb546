"""The same files over both transports: the kernel's own protocol, and libfuse through fusepy."""

from __future__ import annotations

import errno
import os
import random
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cgroup_model.control import add_process
from cgroup_model.mounts import discover_mounts
from procfs_fuse.views import VIEWS
from scripts.debian_tools import Tool
from tests.integration.command_line import NEEDS, REASON, eventually
from tests.integration.containers import Container, Instance, environment, mounted, running
from tests.integration.reader import Opened

pytestmark = pytest.mark.skipif(not NEEDS, reason=REASON)

NOBODY = 65534
_STEADY = ("sys/devices/system/cpu/online", "proc/sys/kernel/threads-max", "proc/cpuinfo", "proc/swaps")


@pytest.fixture(scope="module")
def libfuse(tool: Callable[[str], Tool]) -> Iterator[None]:
    """Let programs find libfuse 2, unpacked where the machine has none."""
    program = tool("afuse")
    unpacked = sorted(Path(program.path).parents[1].glob("lib/*/libfuse.so.2"))
    with pytest.MonkeyPatch.context() as patch:
        if unpacked:
            patch.setenv("FUSE_LIBRARY_PATH", str(unpacked[0]))
        yield


@pytest.fixture(scope="module", params=["kernel", "fusepy"])
def instance(
    request: pytest.FixtureRequest,
    libfuse: None,  # noqa: ARG001 - makes it possible
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Instance]:
    """Mount once for each transport."""
    with mounted(tmp_path_factory.mktemp(request.param), "--transport", request.param) as instance:
        yield instance


@pytest.fixture(scope="module")
def container(instance: Instance) -> Iterator[Container]:
    """Give a limited container."""
    name = f"cgscope-test-transport-{os.getpid()}"
    with running(instance, name, "--memory", "96M", "--cpus", "1", "--pids", "70") as container:
        yield container


@pytest.fixture
def tree(instance: Instance, container: Container) -> Path:
    """Return where the container's own files are, for whoever reads."""
    return instance.open / container.path.strip("/").rpartition("/")[2]


def files(tree: Path) -> list[str]:
    """Return the listed files that all containers may have; without pressure, for example, on cgroup v1 alone."""
    listed = {str(Path(folder, name).relative_to(tree)) for folder, _, names in os.walk(tree) for name in names}
    return [path for path, view in VIEWS.items() if path in listed and not view.SECRET]


def test_every_way_to_read(tree: Path) -> None:
    """Whole, in odd pieces, rewound, anywhere, past the end: what procfs would give, of every file."""
    choose = random.Random(7)  # noqa: S311 - a test that can be repeated
    assert len(files(tree)) > 9  # without pressure, on cgroup v1
    for path in files(tree):
        opened = Opened(str(tree / path), choose)
        contents = []
        for way in (opened.whole, opened.split, opened.rewound, opened.anywhere):
            os.lseek(opened.fd, 0, os.SEEK_SET)
            contents.append(way())
        assert os.pread(opened.fd, 100, 1 << 20) == b""
        os.close(opened.fd)
        assert all(content.endswith(b"\n") or path == "proc/diskstats" for content in contents), path
        assert path not in _STEADY or len(set(contents)) == 1, path


def test_attributes(tree: Path, request: pytest.FixtureRequest) -> None:
    """Sizes are whole pages, but 0 with fusepy; modes are the views', and nobody may list the containers."""
    through_libfuse = "fusepy" in request.node.callspec.id
    for path in files(tree):
        found = tree.joinpath(path).stat()
        assert (found.st_size % 4096, found.st_size == 0) == (0, through_libfuse)
        assert stat.S_IMODE(found.st_mode) == VIEWS[path].MODE
    assert stat.S_IMODE(tree.parent.stat().st_mode) == 0o700
    assert tree.joinpath("proc/meminfo").stat().st_ino == tree.joinpath("proc/meminfo").stat().st_ino


def test_directories(tree: Path) -> None:
    """Listings and lookups agree, folders that depend on the container included; what is not there is ENOENT."""
    for folder, names, leaves in os.walk(tree):
        assert all(os.path.lexists(os.path.join(folder, name)) for name in (*names, *leaves))
    assert sorted(os.listdir(tree / "sys/devices/system/cpu"))[:1] == ["cpu0"]
    assert not tree.joinpath("sys/devices/system/cpu/cpu1").exists()
    assert not tree.joinpath("proc/nothing").exists()
    with pytest.raises(NotADirectoryError):
        os.listdir(tree / "proc/meminfo")


def test_nothing_can_be_changed(tree: Path) -> None:
    """Files cannot be made, removed, renamed, truncated or written to, whoever asks."""
    refusals = {errno.EROFS, errno.EACCES, errno.EPERM}
    file = tree / "proc/meminfo"
    attempts: list[Callable[[], object]] = [
        lambda: os.open(file, os.O_WRONLY),
        lambda: os.truncate(file, 0),
        lambda: os.unlink(file),
        lambda: os.rename(file, tree / "proc/other"),
        lambda: os.mkdir(tree / "proc/new"),
        lambda: os.open(tree / "proc/new", os.O_CREAT | os.O_WRONLY),
    ]
    for attempt in attempts:
        with pytest.raises(OSError) as refused:  # noqa: PT011 - the number is looked at
            attempt()
        assert refused.value.errno in refusals


def test_who_asks_decides(instance: Instance, container: Container) -> None:
    """The mount's own proc/meminfo is the reader's: the container's limit for one in its cgroup, else the machine's."""
    file = instance.mountpoint / "proc/meminfo"
    process = subprocess.Popen(
        ["sh", "-c", f"read -r go; head -1 {file}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    add_process(discover_mounts(), container.path, process.pid)
    output, _ = process.communicate("go\n")
    assert output.split() == ["MemTotal:", str(96 * 1024), "kB"]
    assert file.read_text().splitlines()[0].split() == Path("/proc/meminfo").read_text().splitlines()[0].split()


def test_bound_files_are_for_everybody(container: Container) -> None:
    """What `run` has bound is there, and another user reads it, too."""
    command = f"setpriv --reuid={NOBODY} --clear-groups head -1 /proc/meminfo; cat /proc/sys/kernel/threads-max"
    assert container.sh(command).split() == ["MemTotal:", str(96 * 1024), "kB", "70"]


def test_switching(instance: Instance, container: Container) -> None:
    """SIGUSR2 shows the machine's values, and the container's again."""

    def total() -> int:
        return int(container.sh("head -1 /proc/meminfo").split()[1])

    os.kill(instance.main_pid, signal.SIGUSR2)
    assert eventually(lambda: total() > 96 * 1024)
    os.kill(instance.main_pid, signal.SIGUSR2)
    assert eventually(lambda: total() == 96 * 1024)


def test_status_says_what_is_missing(instance: Instance) -> None:
    """Only libfuse is missing something, and nothing went wrong meanwhile."""
    status = instance.status
    missing = {"page cache", "pressure triggers", "survival of a crash", "restart"}
    assert set(status.get("without", ())) == (missing if status["transport"] == "fusepy" else set())  # type: ignore[call-overload]
    assert status["errors"] == {}


def test_a_killed_server_leaves_nothing_in_the_way(libfuse: None, tmp_path: Path) -> None:  # noqa: ARG001
    """Without a keeper the files are dead then, and the next mount at the same place clears that away."""
    first = Instance(tmp_path, "--transport", "fusepy")
    os.kill(first.main_pid, signal.SIGKILL)
    assert eventually(lambda: not os.path.exists(f"{first.mountpoint}/proc"))
    first._call("mount", "--transport", "fusepy", str(first.mountpoint))
    assert (first.mountpoint / "proc/meminfo").read_text().startswith("MemTotal:")
    first.close()


def test_what_is_not_installed_is_said(tmp_path: Path) -> None:
    """Without libfuse: one line that says what to install, and nothing is mounted."""
    place = tmp_path / "mount"
    place.mkdir()
    words = ["mount", "--no-config", "--transport", "fusepy", "--state-dir", str(tmp_path / "state"), str(place)]
    done = subprocess.run(
        [sys.executable, "-m", "procfs_fuse", *words],
        env=environment({"FUSE_LIBRARY_PATH": str(tmp_path / "nothing.so")}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "libfuse" in done.stderr
    assert len(done.stderr.splitlines()) == 1
