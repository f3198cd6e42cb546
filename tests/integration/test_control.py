"""Making, limiting, freezing, killing and removing real cgroups; on v1, hybrid and v2."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cgroup_model.control import (
    ControlError,
    Limits,
    add_process,
    apply,
    create,
    freeze,
    kill,
    procs,
    remove,
    thaw,
)
from cgroup_model.mounts import Mounts, discover_mounts
from cgroup_model.snapshot import UNLIMITED

MIB = 1 << 20
TOP = f"/cgscope-test-control-{os.getpid()}"


@pytest.fixture(scope="module")
def mounts() -> Mounts:
    """Find the machine's hierarchies."""
    if os.geteuid() != 0:
        pytest.skip("making cgroups takes root")
    return discover_mounts()


@pytest.fixture
def top(mounts: Mounts) -> Iterator[str]:
    """Make an empty cgroup; it is removed afterwards with all that is in it."""
    create(mounts, TOP)
    yield TOP
    if directories(mounts, TOP):
        kill(mounts, TOP)
        remove(mounts, TOP)


def directories(mounts: Mounts, path: str) -> list[str]:
    """Find the cgroup's directories in all hierarchies, without any of our code."""
    return [f"{one.mountpoint}{path}" for one in mounts.hierarchies if os.path.isdir(f"{one.mountpoint}{path}")]


@contextmanager
def sleeping() -> Iterator[subprocess.Popen[bytes]]:
    """Start a process that does nothing, and end it at last."""
    process = subprocess.Popen(["sleep", "1000"])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def says(error: pytest.ExceptionInfo[ControlError], *words: str) -> bool:
    """Tell whether a message is one line that holds all the words."""
    message = str(error.value)
    return "\n" not in message and all(word in message for word in words)


def test_create_makes_the_cgroup_in_every_hierarchy(mounts: Mounts, top: str) -> None:
    """The same path everywhere a controller is served, ancestors included; again changes nothing."""
    for _ in range(2):
        create(mounts, f"{top}/a/b")
        served = {one.mountpoint for name in ("memory", "cpu", "pids", "") if (one := mounts.for_controller(name))}
        assert {f"{mountpoint}{top}/a/b" for mountpoint in served} <= set(directories(mounts, f"{top}/a/b"))


def test_children_have_the_controllers(mounts: Mounts, top: str) -> None:
    """Every controller works at any depth: v2 hands it on, a v1 cpuset is filled in."""
    path = f"{top}/a/b/c"
    create(mounts, path)
    apply(mounts, path, Limits(memory_bytes=32 * MIB, cpus=0.5, cpuset="0", pids=10))
    with sleeping() as process:
        add_process(mounts, path, process.pid)
        lines = [line.rpartition(":")[2] for line in Path(f"/proc/{process.pid}/cgroup").read_text().split()]
        assert lines.count(path) == len(directories(mounts, path))
        assert procs(mounts, top) == [process.pid]


def test_create_leaves_nothing_behind_when_it_fails(mounts: Mounts, top: str) -> None:
    """A name that the kernel refuses: what was made before in the same call is removed; the message stays one line."""
    with pytest.raises(ControlError) as error:
        create(mounts, f"{top}/new/two\nlines")
    assert says(error, "make", r"/new/two\nlines")
    assert not directories(mounts, f"{top}/new")
    assert directories(mounts, top)


@pytest.mark.parametrize("path", ["/", "relative", "/..", "/a/../b", "/../sibling", "/a\0b", ""])
def test_only_cgroups_below_the_root_are_touched(mounts: Mounts, path: str) -> None:
    """Neither the root nor anything that leaves the place it names."""
    for action in (create, remove, kill, freeze):
        with pytest.raises(ControlError):
            action(mounts, path)


def test_v2_parent_with_processes_is_reported(mounts: Mounts, top: str) -> None:
    """v2 hands controllers on only from cgroups without processes: the message names the cgroup and the way out."""
    core = mounts.for_controller("")
    if core is None or not core.controllers & {"memory", "io", "hugetlb"}:
        pytest.skip("no v2 controller is handed on here")
    with sleeping() as process:
        add_process(mounts, top, process.pid)
        with pytest.raises(ControlError) as error:
            create(mounts, f"{top}/child")
        assert says(error, f"children of cgroup {top}:", "move them")
        assert not directories(mounts, f"{top}/child")


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Limits(cpuset="4000"), ("'4000'", "those of")),
        (Limits(cpuset="zero"), ("'zero'", "0-3,8")),
        (Limits(cpuset=""), ("''",)),
        (Limits(cpus=0.0), ("0 CPUs", "0.01")),
        (Limits(cpus=-1.0), ("-1 CPUs",)),
        (Limits(cpus=float("nan")), ("nan",)),
        (Limits(cpus=float("inf")), ("inf",)),
        (Limits(memory_bytes=-1), ("memory", "-1")),
        (Limits(memory_bytes=1 << 63), ("memory", "range")),
        (Limits(pids=-5), ("tasks", "-5")),
    ],
)
def test_impossible_limits_are_one_clear_line(mounts: Mounts, top: str, limits: Limits, words: tuple[str, ...]) -> None:
    """What, which object, why; and nothing is changed."""
    with pytest.raises(ControlError) as error:
        apply(mounts, top, limits)
    assert says(error, f"cgroup {top}", *words)


def test_limits_of_a_cgroup_that_is_not_there(mounts: Mounts) -> None:
    """It is said that it does not exist, whatever is asked of it."""
    with pytest.raises(ControlError) as error:
        apply(mounts, f"{TOP}-never-made", Limits(pids=3))
    assert says(error, "does not exist")
    with pytest.raises(ControlError) as error:
        add_process(mounts, f"{TOP}-never-made", os.getpid())
    assert says(error, "does not exist")


def test_limits_can_be_lifted(mounts: Mounts, top: str) -> None:
    """UNLIMITED undoes each limit."""
    apply(mounts, top, Limits(memory_bytes=32 * MIB, cpus=0.5, pids=10))
    apply(mounts, top, Limits(memory_bytes=UNLIMITED, cpus=UNLIMITED, pids=UNLIMITED))
    hierarchy = mounts.for_controller("pids")
    assert hierarchy is not None
    assert Path(f"{hierarchy.mountpoint}{top}/pids.max").read_text() == "max\n"


def test_process_that_ended_cannot_be_added(mounts: Mounts, top: str) -> None:
    """ESRCH in words."""
    with sleeping() as process:
        pass
    with pytest.raises(ControlError) as error:
        add_process(mounts, top, process.pid)
    assert says(error, str(process.pid), "no such process")


def test_frozen_processes_stand_still_until_thawed(mounts: Mounts, top: str) -> None:
    """A frozen process handles no signal, a thawed one does; one without a handler would end: v2 allows that."""
    handles = "import os, signal\nsignal.signal(15, lambda *_: os._exit(7))\nprint(flush=True)\nwhile 1: signal.pause()"
    with subprocess.Popen([sys.executable, "-c", handles], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        add_process(mounts, top, process.pid)
        freeze(mounts, top)
        process.send_signal(signal.SIGTERM)
        assert process.poll() is None
        thaw(mounts, top)
        assert process.wait(60) == 7


def test_kill_reaches_frozen_children_and_what_forks(mounts: Mounts, top: str) -> None:
    """Everything in the subtree dies, also a frozen child cgroup and a process that keeps forking."""
    script = "import os\ninput()\nprint(flush=True)\nwhile os.getppid() != 1: os.fork() and os._exit(0)"
    create(mounts, f"{top}/frozen")
    create(mounts, f"{top}/forking")
    apply(mounts, f"{top}/forking", Limits(pids=20))
    with (
        sleeping() as frozen,
        subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as forking,
    ):
        add_process(mounts, f"{top}/frozen", frozen.pid)
        freeze(mounts, f"{top}/frozen")
        add_process(mounts, f"{top}/forking", forking.pid)
        assert forking.stdin is not None
        assert forking.stdout is not None
        forking.stdin.write(b"\n")
        forking.stdin.flush()
        forking.stdout.readline()
        kill(mounts, top, timeout_seconds=60)
        assert frozen.wait(60) == -signal.SIGKILL
    assert procs(mounts, top) == []


def test_kill_spares_the_caller(top: str) -> None:
    """Whoever is in the cgroup itself is told so, and lives."""
    script = (
        "from cgroup_model.control import *\nfrom cgroup_model.mounts import discover_mounts\nimport os, sys\n"
        "mounts = discover_mounts()\nadd_process(mounts, sys.argv[1], os.getpid())\n"
        "try: kill(mounts, sys.argv[1])\nexcept ControlError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", script, top], capture_output=True, check=False, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "this process itself" in done.stdout


def test_remove_takes_nested_cgroups_along(mounts: Mounts, top: str) -> None:
    """Children first; a second time is no error."""
    create(mounts, f"{top}/a/b")
    create(mounts, f"{top}/c")
    remove(mounts, top)
    assert not directories(mounts, top)
    remove(mounts, top)


def test_remove_names_who_is_still_inside(mounts: Mounts, top: str) -> None:
    """A cgroup in use stays; the message tells by whom and what to do."""
    with sleeping() as process:
        add_process(mounts, top, process.pid)
        with pytest.raises(ControlError) as error:
            remove(mounts, top, timeout_seconds=0.05)
        assert says(error, f"cgroup {top}", str(process.pid), "stop it first")


def test_remove_waits_for_processes_that_are_ending(mounts: Mounts, top: str) -> None:
    """A killed process leaves its cgroup a little later: no error."""
    with sleeping() as process:
        add_process(mounts, top, process.pid)
        process.kill()
        remove(mounts, top, timeout_seconds=60)
    assert not directories(mounts, top)


def test_existing_settings_of_ancestors_stay(mounts: Mounts, top: str) -> None:
    """Making a child changes no limit of its parent."""
    apply(mounts, top, Limits(memory_bytes=64 * MIB, pids=30, cpuset="0"))
    before = {file: file.read_bytes() for file in limits_of(mounts, top)}
    create(mounts, f"{top}/child")
    apply(mounts, f"{top}/child", Limits(memory_bytes=128 * MIB, pids=60))
    assert {file: file.read_bytes() for file in limits_of(mounts, top)} == before
    assert len(before) >= 3


def limits_of(mounts: Mounts, path: str) -> list[Path]:
    """Find the files of limits in all hierarchies."""
    names = ("memory.max", "memory.limit_in_bytes", "pids.max", "cpuset.cpus", "cpu.max", "cpu.cfs_quota_us")
    return [file for top in directories(mounts, path) for name in names if (file := Path(top, name)).exists()]
