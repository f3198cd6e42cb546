"""From a pid to its container, with real namespaces and cgroups."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator

import pytest

from cgroup_model.callers import Callers
from cgroup_model.control import add_process, create, kill, remove
from cgroup_model.engines import container_path
from cgroup_model.hierarchy import Tree
from cgroup_model.history import start_of
from cgroup_model.mounts import Mounts, discover_mounts
from cgroup_model.procfs import NoSuchTask, Proc
from cgroup_model.source import Source

READY = "echo ready; exec sleep 600"
Start = Callable[..., int]


@pytest.fixture(scope="module")
def mounts() -> Mounts:
    """The machine's hierarchies."""
    return discover_mounts()


@pytest.fixture
def proc() -> Iterator[Proc]:
    """The machine's /proc."""
    proc = Proc()
    yield proc
    proc.close()


@pytest.fixture
def callers(mounts: Mounts, proc: Proc) -> Iterator[Callers]:
    """What is tested, over the real tree."""
    with Source() as source:
        tree = Tree(mounts, source, container_path=container_path)
        yield Callers(tree, proc, container_path)
        tree.close()


@pytest.fixture
def start(mounts: Mounts) -> Iterator[Start]:
    """Start ``sleep`` in a cgroup, after a command such as ``unshare -p -f``; gives the sleeping process's pid."""
    made: list[str] = []

    def started(path: str, *wrapper: str) -> int:
        top = "/" + path.split("/")[1]
        if top not in made:
            made.append(top)
        create(mounts, path)
        # The shell waits until it has been moved, so that everything it starts is born inside.
        script = f"read -r go; exec {' '.join(wrapper)} sh -c '{READY}'"
        process = subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdin is not None
        assert process.stdout is not None
        add_process(mounts, path, process.pid)
        process.stdin.write(b"go\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"ready\n"
        running.append(process)
        return _innermost(process.pid)

    running: list[subprocess.Popen[bytes]] = []
    yield started
    for top in made:
        kill(mounts, top)
    for process in running:
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
    for top in made:
        remove(mounts, top)


def _innermost(pid: int) -> int:
    """The last descendant: unshare and nsenter with -f wait for a child that does the work."""
    while True:
        with contextlib.suppress(FileNotFoundError), open(f"/proc/{pid}/task/{pid}/children", "rb") as file:
            children = file.read().split()
            if children:
                pid = int(children[0])
                continue
        return pid


def path_of(callers: Callers, pid: int) -> str | None:
    """Path of the container found."""
    found = callers.container_of(pid)
    return None if found is None else found.path


def name(suffix: str) -> str:
    """A cgroup of this test run's own."""
    return f"/cgscope-test-callers-{os.getpid()}{suffix}"


CONTAINER = "c" * 64


def test_the_host_is_no_container(callers: Callers) -> None:
    """A process outside of containers, in the host's namespaces, is the host's, whatever cgroup it is in."""
    assert path_of(callers, os.getpid()) is None


def test_a_service_is_no_container(callers: Callers, start: Start) -> None:
    """A plain cgroup without namespaces of its own is still the host."""
    assert path_of(callers, start(name("/plain.service"))) is None


def test_engine_path(callers: Callers, start: Start) -> None:
    """A process anywhere below a container's cgroup is in that container, namespaces or not."""
    container = name(f"/docker/{CONTAINER}")
    assert path_of(callers, start(container)) == container
    other = name(f"/docker/{'d' * 64}")
    assert path_of(callers, start(f"{other}/system.slice/inner.service")) == other


def test_own_pid_namespace_without_engine(callers: Callers, start: Start) -> None:
    """Plain ``unshare -p`` in a cgroup: the cgroup of the namespace's init."""
    path = name("/unshared")
    assert path_of(callers, start(path, "unshare -p -f")) == path


def test_systemd_inside_is_cut(callers: Callers, start: Start) -> None:
    """An init that sits in its container's ``init.scope`` stands for the container."""
    assert path_of(callers, start(name("/box/init.scope"), "unshare -p -f")) == name("/box")


def test_shared_pid_namespace(callers: Callers, start: Start) -> None:
    """Two containers in one pid namespace each get their own answer, not the init's."""
    init = start(name(f"/docker/{'a' * 64}"), "unshare -p -f")
    other = start(name(f"/docker/{'b' * 64}"), f"nsenter -t {init} -p")
    assert path_of(callers, init) == name(f"/docker/{'a' * 64}")
    assert path_of(callers, other) == name(f"/docker/{'b' * 64}")


def test_nested_container_wins(callers: Callers, start: Start) -> None:
    """A container inside a container is asked about itself."""
    inner = name(f"/docker/{'a' * 64}/docker/{'b' * 64}")
    assert path_of(callers, start(inner)) == inner


def test_cgroup_namespace_root(callers: Callers, start: Start) -> None:
    """A cgroup namespace of its own makes a container of its root, also for a process further down."""
    path = name("/nsroot")
    assert path_of(callers, start(path, "unshare -C")) == path


def test_ended_and_invisible_callers(callers: Callers) -> None:
    """A process that is gone, and pid 0 (seen from outside of our namespace), are findings, not crashes."""
    child = subprocess.Popen(["true"])
    child.wait()
    for pid in (child.pid, 0):
        with pytest.raises(NoSuchTask):
            callers.container_of(pid)


def test_start_is_the_inits(proc: Proc, start: Start) -> None:
    """A container starts with the init of its pid namespace, not with the process that was asked about."""
    path = name(f"/docker/{CONTAINER}")
    init = start(path, "unshare -p -f")
    other = start(path, f"nsenter -t {init} -p")
    assert start_of(proc, [other, init], lambda _pid: True) == proc.start_seconds(init)


def test_start_with_a_foreign_init(proc: Proc, start: Start) -> None:
    """In a shared pid namespace a container is as old as its own oldest process."""
    init = start(name(f"/docker/{'a' * 64}"), "unshare -p -f")
    other = start(name(f"/docker/{'b' * 64}"), f"nsenter -t {init} -p")
    assert start_of(proc, [other], lambda _pid: False) == proc.start_seconds(other)


def test_numbers_are_the_namespaces_own(proc: Proc, start: Start) -> None:
    """Pids are translated into the container's numbers, by ioctl or by status."""
    init = start(name("/numbers"), "unshare -p -f")
    assert proc.init_of(init) == init
    with proc.open_pid_namespace(init) as namespace:
        assert namespace.number_of(init) == 1
        assert namespace.number_of(os.getpid()) is None
        assert namespace._init_by_scan() == init


def test_a_namespaces_number_is_not_its_identity(callers: Callers, mounts: Mounts, start: Start) -> None:
    """The kernel gives the numbers of ended namespaces to new ones; a visitor is told about the new container."""
    for turn in ("/first", "/second"):
        init = start(name(turn), "unshare -p -f")
        visitor = subprocess.Popen(["nsenter", "-t", str(init), "-p", "sleep", "600"])
        try:
            assert path_of(callers, _settled(visitor.pid)) == name(turn)
        finally:
            os.kill(_innermost(visitor.pid), signal.SIGKILL)
            visitor.wait()
        kill(mounts, name(turn))


def _settled(pid: int) -> int:
    """The process inside the namespace that nsenter has forked, once it is there."""
    while _innermost(pid) == pid:
        os.sched_yield()
    return _innermost(pid)
