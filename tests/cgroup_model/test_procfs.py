"""Reading /proc/PID: hostile names, ended tasks, namespaces."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgroup_model.procfs import NoSuchTask, Proc, parse_stat
from cgroup_model.tasks import Membership, count_tasks

REST = "1 7 7 0 -1 4194560 120 0 0 0 1 2 3 4 20 0 1 0 4242 1000 100"


@given(st.binary(max_size=15))
def test_task_names_do_no_harm(name: bytes) -> None:
    """Spaces, newlines and brackets in a task's name move no field."""
    line = b"7 (" + name + b") S " + REST.encode() + b"\n"
    stat = parse_stat(line)
    assert (stat.state, stat.starttime_ticks) == ("S", 4242)


@given(st.binary(max_size=200))
def test_any_bytes_parse_or_are_refused(line: bytes) -> None:
    """Garbage gives a value or a documented error."""
    try:
        parse_stat(line)
    except (ValueError, IndexError):
        return


def test_an_ended_task_is_a_finding() -> None:
    """A process that is gone is NoSuchTask, not an OSError."""
    child = subprocess.Popen(["true"])
    child.wait()
    proc = Proc()
    with pytest.raises(NoSuchTask):
        proc.stat(child.pid)
    with pytest.raises(NoSuchTask):
        proc.init_of(child.pid)
    proc.close()


def test_own_start_time_is_the_kernels() -> None:
    """Seconds of CLOCK_BOOTTIME from field 22, in USER_HZ."""
    proc = Proc()
    with open("/proc/self/stat", "rb") as file:
        ticks = int(file.read().rpartition(b")")[2].split()[19])
    assert proc.start_seconds(os.getpid()) == ticks / os.sysconf("SC_CLK_TCK")
    proc.close()


def test_counts_by_state() -> None:
    """A stopped process counts as a task and not as running; we ourselves run."""
    proc = Proc()
    with subprocess.Popen(["sleep", "60"]) as child:
        try:
            child.send_signal(signal.SIGSTOP)
            os.waitpid(child.pid, os.WUNTRACED)
            tasks = count_tasks(proc, Membership([child.pid, os.getpid()], [child.pid, os.getpid()]))
        finally:
            child.kill()
    proc.close()
    assert (tasks.total, tasks.running, tasks.processes) == (2, 1, 2)
    assert tasks.highest_pid == max(child.pid, os.getpid())


def test_tasks_that_end_meanwhile_are_left_out() -> None:
    """A pid from the list that is gone when it is looked at is not counted, and is no error."""
    child = subprocess.Popen(["true"])
    child.wait()
    proc = Proc()
    assert count_tasks(proc, Membership([child.pid], [child.pid])).total == 0
    proc.close()
