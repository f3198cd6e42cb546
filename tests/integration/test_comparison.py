"""A container limited in everything: each line of its files against its control files, and lxcfs's beside it.

Its cgroup is frozen meanwhile, so that all three speak of the same moment. What came out is docs/comparison.md, written
anew by

    python tests/guest/run.py --cgroup v2 --cpus 2 --swap 256M --disk 256M --rw docs -- \
        .venv/bin/python -m pytest -p no:cacheprovider tests/integration/test_comparison.py --update-golden
"""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from cgroup_model.mounts import discover_mounts
from scripts.debian_tools import Tool
from tests.integration.command_line import NEEDS, PATIENCE_SECONDS, REASON
from tests.integration.containers import MIB, Container, Instance, mounted, running
from tests.integration.truth import Control, Truth, lines_of, truths

NAME: Final = "cgscope-test-comparison"
DISK: Final = "/dev/ubda"
PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "comparison.md"

pytestmark = [
    pytest.mark.skipif(not NEEDS, reason=REASON),
    pytest.mark.skipif(
        discover_mounts().world != "v2" or not os.path.exists(DISK), reason="the comparison is made in the v2 guest"
    ),
]

# Memory of each kind, dirty file cache, reads and writes past it, CPU time beyond the quota, a second thread.
_WORK: Final = """
import mmap, os, sys, threading, time
folder = sys.argv[1]
anonymous = bytearray(os.urandom(4096)) * 5120
shared = mmap.mmap(-1, 3 << 20)
shared.write(os.urandom(3 << 20))
with open(folder + "/direct", "wb") as file:
    file.write(os.urandom(4 << 20))
    os.fsync(file.fileno())
    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
with open(folder + "/direct", "rb") as file:
    file.read(1 << 20)
with open(folder + "/dirty", "wb") as file:
    file.write(os.urandom(1 << 20))
end = time.process_time() + 0.6
while time.process_time() < end:
    os.getpid()
threading.Thread(target=threading.Event().wait, daemon=True).start()
open(folder + "/ready", "w").close()
threading.Event().wait()
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One line in all three."""

    truth: Truth
    ours: str | None
    theirs: str | None


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory, tool: Callable[[str], Tool]) -> Iterator[Path]:
    """Give a folder on the guest's spare disk."""
    folder = tmp_path_factory.mktemp("disk")
    mkfs = tool("mkfs.ext4")
    subprocess.run([mkfs.path, "-q", "-F", DISK], env=mkfs.env, check=True)
    subprocess.run(["mount", DISK, folder], check=True)
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@contextlib.contextmanager
def lxcfs(folder: Path, tool: Callable[[str], Tool]) -> Iterator[Path]:
    """Start Debian's lxcfs with all that it can do; give its mount point."""
    program = tool("lxcfs")
    folder.mkdir()
    options = ["-f", "-p", f"{folder}.pid", "--enable-loadavg", "--enable-cfs"]
    process = subprocess.Popen([program.path, *options, str(folder)], env=dict(program.env), stderr=subprocess.DEVNULL)
    try:
        until(lambda: folder.joinpath("proc/meminfo").exists(), "lxcfs serves")
        yield folder
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)
        subprocess.run(["umount", "-l", folder], check=False, stderr=subprocess.DEVNULL)


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for something, generously."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


@contextlib.contextmanager
def limited(instance: Instance, disk: Path) -> Iterator[tuple[Container, Control]]:
    """Give a container with every limit, which has done its work and of which a part was swapped out."""
    last = str(max(os.sched_getaffinity(0)))
    options = ["--memory", "96M", "--cpus", "0.5", "--cpuset", last, "--pids", "40"]
    with running(instance, NAME, *options) as container:
        control = Control(Path("/sys/fs/cgroup") / container.path.lstrip("/"))
        control.directory.joinpath("memory.swap.max").write_text(str(48 * MIB))
        control.directory.joinpath("io.max").write_text(f"{device_of(disk)} wbps={16 * MIB}")
        container.start(f"{sys.executable} -c {shlex.quote(_WORK)} {disk}")
        until(disk.joinpath("ready").exists, "the container has done its work")
        with contextlib.suppress(BlockingIOError):  # less was reclaimed than asked for
            control.directory.joinpath("memory.reclaim").write_text(f"{8 * MIB} swappiness=200")
        yield container, control


def device_of(folder: Path) -> str:
    """Return `major:minor` of a folder's disk."""
    number = os.stat(folder).st_dev
    return f"{os.major(number)}:{os.minor(number)}"


@contextlib.contextmanager
def warmed_up(theirs: Path, control: Control, patience_seconds: float) -> Iterator[None]:
    """Give lxcfs, which counts threads only after somebody asked, the time to do so: for the page to be fair."""
    init = control.text("cgroup.procs").split()[0]
    deadline = time.monotonic() + patience_seconds
    while (inside(init, theirs / "proc/loadavg") or "").split()[3:4] in ([], ["0/1"]) and time.monotonic() < deadline:
        time.sleep(1)
    yield


@contextlib.contextmanager
def frozen(control: Control) -> Iterator[None]:
    """Hold the container still; statistics are summed up by the kernel within two seconds."""
    freezer = control.directory / "cgroup.freeze"
    freezer.write_text("1")
    try:
        until(lambda: "frozen 1" in control.text("cgroup.events"), "it is frozen")
        until(lambda: _rests(control), "counters rest")
        yield
    finally:
        freezer.write_text("0")


def _rests(control: Control) -> bool:
    """Tell whether nothing changes for longer than the kernel takes to sum up."""
    names = ("memory.stat", "memory.current", "cpu.stat", "io.stat")
    before = [control.text(name) for name in names]
    time.sleep(2.5)
    return before == [control.text(name) for name in names]


def _threads_told(folder: Path) -> int:
    """Read how many threads the container is told to have: a count is reused for a while where counting is slow."""
    return int(folder.joinpath("proc/loadavg").read_text().split()[3].split("/")[1])


def rows(control: Control, ours: Path, theirs: Path, disk: Path) -> list[Row]:
    """Read every line in all three; lxcfs is asked by a process of the container's pid namespace."""
    machine = lines_of("proc/meminfo", Path("/proc/meminfo").read_text(), "")
    numbers = {line: int(value) for line, value in machine.items()}
    init = control.text("cgroup.procs").split()[0]
    name = os.path.basename(DISK)
    found = []
    texts: dict[tuple[str, str], Mapping[str, str]] = {}
    for truth in truths(control, numbers, device_of(disk), name):
        for who, path in (("ours", ours), ("theirs", theirs)):
            if (who, truth.file) not in texts:
                text = inside(init, path / truth.file) if who == "theirs" else path.joinpath(truth.file).read_text()
                texts[who, truth.file] = lines_of(truth.file, text, name) if text is not None else {}
        found.append(Row(truth, texts["ours", truth.file].get(truth.line), texts["theirs", truth.file].get(truth.line)))
    return found


def inside(pid: str, file: Path) -> str | None:
    """Return a file as a process in the pid namespace of ``pid`` reads it; None when there is none."""
    done = subprocess.run(["nsenter", "-t", pid, "-p", "cat", str(file)], capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else None


def test_every_line_is_what_the_control_files_say(
    tmp_path: Path,
    disk: Path,
    tool: Callable[[str], Tool],
    update_golden: bool,  # noqa: FBT001
) -> None:
    """Ours is the kernel's truth in every line; the page lists all of them, with what lxcfs says instead."""
    with (
        mounted(tmp_path) as instance,
        lxcfs(tmp_path / "lxcfs", tool) as theirs,
        limited(instance, disk) as (container, control),
        warmed_up(theirs, control, patience_seconds=20 if update_golden else 0),
        frozen(control),
    ):
        ours = instance.open / os.path.basename(container.path)
        until(lambda: _threads_told(ours) == len(control.text("cgroup.threads").split()), "threads are counted anew")
        found = rows(control, ours, theirs, disk)
    wrong = [(row.truth, row.ours) for row in found if row.ours != row.truth.value]
    assert wrong == []
    assert len(found) > 50
    if update_golden:
        PAGE.write_text(page(found, version_of(tool("lxcfs"))))
    text = PAGE.read_text()
    missing = {f"`{row.truth.line}`" for row in found if f"`{row.truth.line}`" not in text}
    assert missing == set(), "docs/comparison.md is older than this test: write it anew as its first lines say"


def version_of(program: Tool) -> str:
    """Return lxcfs's version."""
    done = subprocess.run(
        [program.path, "--version"], env=dict(program.env), capture_output=True, text=True, check=True
    )
    return (done.stdout + done.stderr).split()[-1].strip('"')


def page(found: list[Row], version: str) -> str:
    """Write the page."""
    blocks = [_HEAD.format(version=version, kernel=os.uname().release.partition("-")[0], lines=len(found))]
    for file in dict.fromkeys(row.truth.file for row in found):
        own = [row for row in found if row.truth.file == file]
        blocks.append(f"## {file}\n")
        if all(row.theirs is None for row in own):
            blocks.append("lxcfs has no such file: the container reads the machine's.\n")
        differing = [row for row in own if row.theirs != row.truth.value]
        if differing:
            blocks.append("| Line | cgscope | lxcfs | The kernel's truth | Where |\n|---|---|---|---|---|")
            blocks += [
                f"| `{row.truth.line}` | {row.ours} | {row.theirs or '-'} | {row.truth.value} | {row.truth.source} |"
                for row in differing
            ]
            blocks.append("")
        same = ", ".join(f"`{row.truth.line}`" for row in own if row.theirs == row.truth.value)
        if same:
            blocks.append(f"The same in all three: {same}.\n")
    return "\n".join(blocks)


_HEAD: Final = """\
# cgscope, lxcfs and the kernel

One container on cgroup v2, limited to 96 MiB of memory, 48 MiB of swap, half a CPU (and one of two by its cpuset), 40
tasks and 16 MiB/s of writing, which allocated, swapped, wrote and computed. It was then frozen, and {lines} lines of
its files were compared with its control files. cgscope shows the kernel's truth in all of them, lxcfs {version}
(Debian 12, with `--enable-cfs` and `--enable-loadavg`, Linux {kernel}) in those named below each table; elsewhere its
number is the machine's, or 0.

This page is written by `tests/integration/test_comparison.py`, which checks our column in every run of the suite. Units
are those of the files: kB, pages, clock ticks, sectors. [files.md](files.md) has all formulas.
"""
