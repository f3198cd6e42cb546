"""Processes as psutil sees them: real ones."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from cgroup_model.processes import Processes


def test_what_is_read_of_a_process() -> None:
    """CPU usage needs two looks; a process that is gone is left out."""
    code = "print('ready', flush=True)\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        processes = Processes()
        (first,) = processes.read([child.pid, 2**22 - 1])
        assert (first.pid, first.cpu_percent, first.threads) == (child.pid, None, 1)
        assert first.command is not None
        assert "while True" in first.command
        assert first.rss_bytes
        time.sleep(0.2)
        (second,) = processes.read([child.pid])
        assert second.cpu_percent is not None
        child.kill()
        child.wait()
        assert processes.read([child.pid]) == []


def test_nobody() -> None:
    """No pids, no processes."""
    assert Processes().read([]) == []


@pytest.mark.parametrize("pid", [0, 2**31 - 1])
def test_pids_that_cannot_be(pid: int) -> None:
    """A pid of another namespace is 0; one that nobody has is gone."""
    assert Processes().read([pid]) == []
