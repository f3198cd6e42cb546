"""Which worker hangs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from procfs_fuse.keeper.watchdog import SAMPLES, CpuShare, Watchdog

_LOOP = [sys.executable, "-c", "while True: pass"]


def test_one_that_does_nothing_with_work_hangs() -> None:
    """So many looks in a row, and not one fewer."""
    dog = Watchdog()
    assert [dog.look(7, has_work=True) for _ in range(SAMPLES + 1)] == [False] * SAMPLES + [True]


def test_progress_and_idleness_are_no_hanging() -> None:
    """Neither one that goes on nor one that has nothing to do, for however long."""
    dog = Watchdog()
    assert not any(dog.look(number, has_work=True) for number in range(50))
    assert not any(dog.look(50, has_work=False) for _ in range(50))
    assert not any(dog.look(50, has_work=number % SAMPLES != 0) for number in range(50))


def test_next_worker_begins_anew() -> None:
    """What the last one did not do is not held against it."""
    dog = Watchdog()
    for _ in range(SAMPLES):
        dog.look(("first", 1), has_work=True)
    assert not dog.look(("second", 1), has_work=True)


def test_one_without_a_cpu_gets_more_time() -> None:
    """A busy machine is not the worker's fault; but it is not waited for without end either."""
    dog = Watchdog()
    looks = [dog.look(7, has_work=True, is_starved=True) for _ in range(100)]
    assert looks.index(True) >= 5 * SAMPLES


def test_who_wants_a_cpu_is_starved_and_who_stands_still_is_not() -> None:
    """Beside others on one CPU one that yields to everybody gets nearly nothing; a stopped one wants nothing."""
    cpu = min(os.sched_getaffinity(0))
    rival, starving, stopped = (subprocess.Popen(_LOOP) for _ in range(3))
    try:
        stopped.send_signal(signal.SIGSTOP)
        for one in (rival, starving):
            os.sched_setaffinity(one.pid, {cpu})
        os.sched_setscheduler(starving.pid, os.SCHED_IDLE, os.sched_param(0))
        share, deadline = CpuShare(), time.monotonic() + 60
        while not share.is_starved(starving.pid):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        for _ in range(5):
            time.sleep(0.02)
            assert not share.is_starved(stopped.pid)
    finally:
        for one in (rival, starving, stopped):
            one.kill()
            one.wait()
