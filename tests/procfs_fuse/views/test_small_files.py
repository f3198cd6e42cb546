"""The rules of loadavg, diskstats, pid_max and threads-max that docs/files.md states."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cgroup_model.snapshot import UNLIMITED, Host, Io, IoDevice, Load, Pids, Policy, Snapshot, Tasks
from procfs_fuse.views import TREES, VIEWS

LOADAVG, DISKSTATS = "proc/loadavg", "proc/diskstats"
PID_MAX, THREADS_MAX = "proc/sys/kernel/pid_max", "proc/sys/kernel/threads-max"


def render(name: str, snapshot: Snapshot) -> bytes:
    """Render one file."""
    return VIEWS[name].render(snapshot)


# --------------------------------------------------------------------------------------------- loadavg


@pytest.mark.parametrize(
    ("fixed", "expected"),
    [
        (0, b"0.00"),
        (10, b"0.00"),
        (11, b"0.01"),
        (1024, b"0.50"),
        (2047, b"1.00"),
        (2048, b"1.00"),
        (7 * 2048, b"7.00"),
    ],
)
def test_load_is_rounded_as_the_kernel_does(limited: Snapshot, fixed: int, expected: bytes) -> None:
    """fs/proc/loadavg.c adds 10/2048 and cuts to two decimals of the fixed-point number."""
    load = Load(fixed / 2048, fixed / 2048, fixed / 2048)
    assert render(LOADAVG, replace(limited, load=load)).split()[:3] == [expected] * 3


def test_loadavg_has_the_containers_threads_and_newest_pid(limited: Snapshot) -> None:
    """Running / all threads; the reader runs, too, so there is at least one of both."""
    tasks = Tasks(running=3, total=9, last_pid=44, highest_pid=70)
    assert render(LOADAVG, replace(limited, tasks=tasks)) == b"1.00 0.25 0.05 4/9 44\n"
    assert render(LOADAVG, replace(limited, tasks=replace(tasks, last_pid=None))).split()[-1] == b"70"
    assert render(LOADAVG, replace(limited, tasks=Tasks())) == b"1.00 0.25 0.05 1/1 1\n"
    assert render(LOADAVG, replace(limited, tasks=None)) == b"1.00 0.25 0.05 1/1 1\n"


def test_unknown_averages_are_the_present_number(limited: Snapshot) -> None:
    """A container seen for the first time has no history; idle is not what it is told."""
    tasks = Tasks(running=3, uninterruptible=1, total=9, last_pid=44)
    assert render(LOADAVG, replace(limited, load=None, tasks=tasks)) == b"4.00 4.00 4.00 4/9 44\n"


def test_loadavg_of_nothing_known_is_empty(limited: Snapshot) -> None:
    """No zeros that look like an idle container: the file system answers with the machine's file."""
    assert render(LOADAVG, replace(limited, load=None, tasks=None)) == b""


# ------------------------------------------------------------------------------------------- diskstats


def test_diskstats_are_the_containers_devices_in_the_machines_order(limited: Snapshot) -> None:
    """A device that the container never used is not there, one that the machine lacks neither."""
    devices = (IoDevice(254, 0, 512, 1024, 1, 2, 0, 0), IoDevice(7, 3, 0, 0, 0, 0, 0, 0), IoDevice(99, 9, 1, 1, 1, 1))
    lines = render(DISKSTATS, replace(limited, io=Io(devices=devices))).splitlines()
    assert [line.split()[2] for line in lines] == [b"loop3", b"vda"]
    assert lines[1] == b" 254       0 vda 1 0 1 0 2 0 2 0 0 0 0 0 0 0 0 0 0"


def test_diskstats_has_the_columns_of_the_machines_kernel(limited: Snapshot) -> None:
    """Kernels before 4.18 have no discards, before 5.5 no flushes."""
    host = replace(limited.host, diskstats=b"   8       0 sda 1 2 3 4 5 6 7 8 9 10 11\n")
    io = Io(devices=(IoDevice(8, 0, 51200, 512, 30, 4, 99, 99),))
    assert render(DISKSTATS, replace(limited, host=host, io=io)) == b"   8       0 sda 30 0 100 0 4 0 1 0 0 0 0\n"


def test_an_unknown_counter_of_a_device_is_the_machines(limited: Snapshot) -> None:
    """A controller that does not count requests does not make them zero."""
    host = replace(limited.host, diskstats=b"   8       0 sda 1 2 3 4 5 6 7 8 9 10 11\n")
    io = Io(devices=(IoDevice(8, 0, rbytes=512),))
    assert render(DISKSTATS, replace(limited, host=host, io=io)) == b"   8       0 sda 1 0 1 0 5 0 7 0 0 0 0\n"


def test_diskstats_of_unknown_io_is_the_machines(limited: Snapshot) -> None:
    """No io controller is another thing than no io."""
    assert render(DISKSTATS, replace(limited, io=None)) == limited.host.diskstats
    assert render(DISKSTATS, replace(limited, io=Io())) == b""


def device_files(snapshot: Snapshot) -> dict[str, bytes]:
    """Render every file of sys/class/block."""
    tree = TREES["sys/class/block"]
    return {view.PATH: view.render(snapshot) for view in tree.leaves(tree.key(snapshot))}


def test_stat_of_a_device_is_its_line_of_diskstats(limited: Snapshot) -> None:
    """The same columns, padded to 8; zeros for a device that the container never used; a slash is ``!`` in sysfs."""
    machines = b"   8       0 sda 1 2 3 4 5 6 7 8 9 10 11\n 104       1 cciss/c0d0p1 1 2 3 4 5 6 7 8 9 10 11\n"
    host = replace(limited.host, diskstats=machines)
    shown = replace(limited, host=host, io=Io(devices=(IoDevice(8, 0, 51200, 512, 30, 4, 99, 99),)))
    used, unused = device_files(shown).items()
    numbers = (30, 0, 100, 0, 4, 0, 1, 0, 0, 0, 0)
    assert used == ("sys/class/block/sda/stat", b" ".join(b"%8d" % number for number in numbers) + b"\n")
    assert unused == ("sys/class/block/cciss!c0d0p1/stat", b" ".join([b"       0"] * 11) + b"\n")
    assert used[1].split() == render(DISKSTATS, shown).split()[3:]


def test_stat_of_a_device_with_unknown_io_is_the_machines(limited: Snapshot) -> None:
    """As diskstats has it."""
    unknown = replace(limited, io=None)
    expected = [line.split()[3:] for line in render(DISKSTATS, unknown).splitlines()]
    assert [content.split() for content in device_files(unknown).values()] == expected
    assert device_files(replace(limited, host=Host())) == {}


# ------------------------------------------------------------------------------- pid_max and threads-max


@pytest.mark.parametrize(
    ("limit", "highest", "expected"),
    [(1000, 41, 1000), (100, 41, 301), (100, 5000, 5001), (0, 0, 301), (10**9, 41, 32768), (UNLIMITED, 41, 32768)],
)
def test_pid_max_is_above_every_pid_and_within_the_machines(
    limited: Snapshot, limit: int, highest: int, expected: int
) -> None:
    """The limit, but above all pids in use, the kernel's least, and no more than the machine's."""
    snapshot = replace(limited, pids=Pids(effective_max=limit), tasks=Tasks(highest_pid=highest))
    assert render(PID_MAX, snapshot) == b"%d\n" % expected


def test_pid_max_is_the_machines_where_it_could_be_too_low(limited: Snapshot) -> None:
    """Unknown pids, an unknown limit or the operator's wish."""
    assert render(PID_MAX, replace(limited, tasks=None)) == b"32768\n"
    assert render(PID_MAX, replace(limited, tasks=Tasks(highest_pid=None))) == b"32768\n"
    assert render(PID_MAX, replace(limited, pids=None)) == b"32768\n"
    assert render(PID_MAX, replace(limited, policy=Policy(pid_max="host"))) == b"32768\n"


def test_threads_max_is_the_limit(limited: Snapshot) -> None:
    """What the container may start, within what the machine may."""
    assert render(THREADS_MAX, limited) == b"100\n"
    assert render(THREADS_MAX, replace(limited, pids=Pids(effective_max=10**9))) == b"192718\n"
    assert render(THREADS_MAX, replace(limited, pids=Pids(effective_max=UNLIMITED))) == b"192718\n"
    assert render(THREADS_MAX, replace(limited, pids=Pids(effective_max=0))) == b"1\n"
    assert render(THREADS_MAX, replace(limited, pids=None)) == b"192718\n"


def test_an_unknown_machine_leaves_the_limit(limited: Snapshot) -> None:
    """Where neither is known there is nothing to say."""
    assert render(THREADS_MAX, replace(limited, host=Host())) == b"100\n"
    assert render(PID_MAX, replace(limited, host=Host())) == b"301\n"
    assert render(PID_MAX, replace(limited, host=Host(), pids=None)) == b""
    assert render(THREADS_MAX, replace(limited, host=Host(), pids=None)) == b""
