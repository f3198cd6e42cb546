"""When a container is ready, asked of real processes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from procfs_fuse.attach.readiness import runs_its_program


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
    assert runs_its_program(os.getppid())
