"""When a container is ready, asked of real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from procfs_fuse.attach import mountinfo
from procfs_fuse.attach.readiness import is_server, runs_its_program


@contextmanager
def forked(name: str) -> Iterator[int]:
    """A process that has executed nothing, under a name of its own."""
    pid = os.fork()
    if not pid:
        Path("/proc/self/comm").write_text(name)
        while True:
            time.sleep(3600)
    try:
        while Path(f"/proc/{pid}/comm").read_text() != f"{name}\n":
            os.sched_yield()
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@pytest.mark.parametrize("name", ["runc:[2:INIT]", "sd-stubinit"])
def test_without_a_program(name: str) -> None:
    """Who is still to execute the container's program is waited for."""
    with forked(name) as pid:
        assert not runs_its_program(pid)


def test_init_without_a_program() -> None:
    """That of `systemd-nspawn --as-pid2` never executes one."""
    with forked("(sd-stubinit)") as pid:
        assert runs_its_program(pid)


def test_with_a_program() -> None:
    """Whoever has executed something runs, whatever its name is."""
    with subprocess.Popen(["sleep", "3600"]) as process:
        try:
            assert runs_its_program(process.pid)
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("root", "place", "source", "expected"),
    [
        ("/", "/run/state/one/containers", "procfs-fuse:/mnt", True),
        ("/host", "/run/state/one/containers", "procfs-fuse:/mnt", False),
        ("/", "/host/run/state/one/containers", "procfs-fuse:/mnt", False),
        ("/", "/run/state/one/containers", "lxcfs", False),
    ],
    ids=["its own place", "files of one container", "a container with the machine's tree", "not ours"],
)
def test_who_serves(root: str, place: str, source: str, *, expected: bool) -> None:
    """A pod of the server has the private mount where the server has it; another container may have it elsewhere."""
    kind = "fuse.procfs-fuse" if source.startswith("procfs-fuse") else "fuse.lxcfs"
    lines = mountinfo.parse(f"60 50 0:50 {root} {place} rw shared:1 - {kind} {source} rw\n".encode())
    assert lines
    assert is_server(lines, "/run/state/one/containers") is expected
