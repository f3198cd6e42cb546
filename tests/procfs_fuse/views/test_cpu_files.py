"""The rules of stat, cpuinfo, cpu/online and uptime that docs/files.md states."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgroup_model.snapshot import UNLIMITED, Cpu, CpuTime, CpuTimes, Host, ShownCpus, Snapshot, Tasks
from procfs_fuse.views import VIEWS, uptime

S390X = b"""\
vendor_id       : IBM/S390
# processors    : 3
bogomips per cpu: 24038.00
processor 0: version = FF,  identification = 2733E8,  machine = 3906
processor 1: version = FF,  identification = 2733E8,  machine = 3906
processor 5: version = FF,  identification = 2733E8,  machine = 3906

cpu number      : 0
physical id     : 1
core id         : 0
siblings        : 3
cpu cores       : 3

cpu number      : 1
physical id     : 1
core id         : 1
siblings        : 3
cpu cores       : 3

cpu number      : 5
physical id     : 2
core id         : 5
siblings        : 3
cpu cores       : 3

"""

ARM64 = b"""\
processor	: 0
BogoMIPS	: 50.00
CPU part	: 0xd0c

processor	: 1
BogoMIPS	: 50.00
CPU part	: 0xd0d

Hardware	: a board
Serial		: 0000000000000000
"""

LOONGARCH = b"""\
system type		: generic machine

processor		: 0
package			: 0
core			: 0

processor		: 1
package			: 1
core			: 1

"""

MIPS = b"""\
system type		: a board
machine			: Unknown
processor		: 0
cpu model		: MIPS 24Kc

processor		: 1
cpu model		: MIPS 24Kc

"""


def render(name: str, snapshot: Snapshot) -> bytes:
    """Render one file."""
    return VIEWS[name].render(snapshot)


def shown(*physical: int) -> ShownCpus:
    """Return a container's CPUs."""
    return ShownCpus(physical=physical, usable=physical, quota_cpus=UNLIMITED)


def cpu_rows(content: bytes) -> dict[str, list[int]]:
    """Parse the CPU lines of a stat."""
    rows = re.findall(rb"^(cpu\d*) +([\d ]+)$", content, re.MULTILINE)
    return {label.decode(): [int(field) for field in fields.split()] for label, fields in rows}


def other_lines(content: bytes) -> dict[str, bytes]:
    """Parse the rest of a stat."""
    lines = [line.partition(b" ") for line in content.splitlines() if not line.startswith(b"cpu")]
    return {name.decode(): rest for name, _, rest in lines}


# ------------------------------------------------------------------------------------------------ stat


def test_cpu_line_is_the_sum_of_cut_lines_and_hidden_time(limited: Snapshot) -> None:
    """Each account is cut to whole ticks before it is added: 1.9 ticks three times are three, not five."""
    times = CpuTimes(cpus=(CpuTime(user=19_999), CpuTime(user=19_999, steal=10_000)), hidden=CpuTime(user=19_999))
    rows = cpu_rows(render("proc/stat", replace(limited, cpu_times=times)))
    assert rows == {
        "cpu": [3, 0, 0, 0, 0, 0, 0, 1, 0, 0],
        "cpu0": [1, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        "cpu1": [1, 0, 0, 0, 0, 0, 0, 1, 0, 0],
    }


def test_stat_has_the_kernels_layout(limited: Snapshot) -> None:
    """Two spaces after ``cpu``, ten fields, and the machine's lines in its order."""
    content = render("proc/stat", limited)
    host = limited.host.stat
    assert host is not None
    assert content.startswith(b"cpu  200 0 100 950 0 0 0 0 0 0\ncpu0 200 0 ")
    assert list(other_lines(content)) == list(other_lines(host))


def test_stat_keeps_what_only_the_machine_counts(limited: Snapshot) -> None:
    """btime, ctxt and the totals of interrupts are the machine's; who interrupted stays its secret."""
    assert limited.host.stat is not None
    lines, host = other_lines(render("proc/stat", limited)), other_lines(limited.host.stat)
    assert (lines["btime"], lines["ctxt"]) == (host["btime"], host["ctxt"])
    assert lines["intr"] == host["intr"].split()[0]
    # Parsers (node_exporter's among them) insist on all eleven numbers of softirq.
    assert lines["softirq"].split() == [host["softirq"].split()[0]] + [b"0"] * 10


def test_btime_moves_with_the_time_namespace(limited: Snapshot) -> None:
    """Where the container's boot clock is behind the machine's, the boot was that much later, to the nearest second."""
    moved = replace(limited, boot_offset_seconds=-1000.6)
    assert limited.host.stat is not None
    before = int(other_lines(limited.host.stat)["btime"])
    assert int(other_lines(VIEWS["proc/stat"].render(moved))["btime"]) == before + 1001


def test_stat_counts_the_containers_tasks(limited: Snapshot) -> None:
    """Forks and states are the container's, and whoever reads runs."""
    sleeping = Tasks(running=0, uninterruptible=2, total=5, processes=3, forks=77)
    lines = other_lines(render("proc/stat", replace(limited, tasks=sleeping)))
    assert (lines["processes"], lines["procs_running"], lines["procs_blocked"]) == (b"77", b"1", b"2")


def test_stat_of_unknown_tasks_is_the_machines(limited: Snapshot) -> None:
    """Unknown is not zero: an unknown number of forks leaves the machine's line."""
    assert limited.host.stat is not None
    host = other_lines(limited.host.stat)
    lines = other_lines(render("proc/stat", replace(limited, tasks=Tasks(total=1, forks=None))))
    assert lines["processes"] == host["processes"]
    lines = other_lines(render("proc/stat", replace(limited, tasks=None)))
    assert (lines["procs_running"], lines["procs_blocked"]) == (host["procs_running"], host["procs_blocked"])


def test_stat_without_accounts_has_the_shown_cpus_of_the_machine(limited: Snapshot) -> None:
    """Until the accounts exist the number of CPUs is right and their times are real ones."""
    assert limited.host.stat is not None
    host = cpu_rows(limited.host.stat)
    rows = cpu_rows(render("proc/stat", replace(limited, cpu_times=None)))
    assert rows == {"cpu": host["cpu1"], "cpu0": host["cpu1"]}
    both = cpu_rows(render("proc/stat", replace(limited, cpu_times=None, cpus=shown(0, 1))))
    assert both["cpu"] == [first + second for first, second in zip(host["cpu0"], host["cpu1"], strict=True)]


def test_stat_of_nothing_known_is_the_machines(limited: Snapshot) -> None:
    """The machine's CPU lines, all of them, as they are."""
    assert limited.host.stat is not None
    content = render("proc/stat", replace(limited, cpu_times=None, cpus=None, tasks=None))
    assert cpu_rows(content) == cpu_rows(limited.host.stat)


def test_stat_without_the_machines_file_has_what_is_known(limited: Snapshot) -> None:
    """An unreadable host file costs the machine's lines only."""
    content = render("proc/stat", replace(limited, host=Host()))
    assert cpu_rows(content)["cpu"][0] == 200
    assert other_lines(content) == {"procs_running": b"2", "procs_blocked": b"1", "processes": b"40"}


def test_psutil_reads_stat(limited: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real reader understands every line."""
    (tmp_path / "stat").write_bytes(render("proc/stat", limited))
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(tmp_path))
    assert len(psutil.cpu_times(percpu=True)) == 1
    assert (psutil.cpu_times().user, psutil.cpu_times().idle) == (2.0, 9.5)
    assert psutil.cpu_stats().ctx_switches > 0


# ------------------------------------------------------------------------------------ cpuinfo and online


def test_cpuinfo_is_renumbered_and_keeps_what_a_cpu_is(limited: Snapshot) -> None:
    """CPU 1 is shown as CPU 0, the only core of one socket, and is the same model."""
    assert limited.host.cpuinfo is not None
    stanzas = limited.host.cpuinfo.split(b"\n\n")
    content = render("proc/cpuinfo", limited)
    expected = stanzas[1]
    for line in (b"processor\t: 1", b"core id\t\t: 1", b"apicid\t\t: 1", b"initial apicid\t: 1"):
        expected = expected.replace(line, line[:-1] + b"0")
    for line in (b"siblings\t: 2", b"cpu cores\t: 2"):
        expected = expected.replace(line, line[:-1] + b"1")
    assert content == expected + b"\n\n"


def test_cpuinfo_of_all_cpus_in_one_socket_is_the_machines(limited: Snapshot) -> None:
    """The rule (n cores, one socket) changes nothing on a machine that is like that."""
    assert render("proc/cpuinfo", replace(limited, cpus=shown(0, 1))) == limited.host.cpuinfo


def test_cpuinfo_of_s390x(limited: Snapshot) -> None:
    """Both of its lists of CPUs and their number agree."""
    host = replace(limited.host, cpuinfo=S390X)
    content = render("proc/cpuinfo", replace(limited, host=host, cpus=shown(1, 5)))
    assert content == (
        b"vendor_id       : IBM/S390\n"
        b"# processors    : 2\n"
        b"bogomips per cpu: 24038.00\n"
        b"processor 0: version = FF,  identification = 2733E8,  machine = 3906\n"
        b"processor 1: version = FF,  identification = 2733E8,  machine = 3906\n"
        b"\n"
        b"cpu number      : 0\n"
        b"physical id     : 0\n"
        b"core id         : 0\n"
        b"siblings        : 2\n"
        b"cpu cores       : 2\n"
        b"\n"
        b"cpu number      : 1\n"
        b"physical id     : 0\n"
        b"core id         : 1\n"
        b"siblings        : 2\n"
        b"cpu cores       : 2\n"
        b"\n"
    )


def test_cpuinfo_of_arm_keeps_its_last_section(limited: Snapshot) -> None:
    """Lines about the board come after the last stanza, whichever CPUs are shown."""
    host = replace(limited.host, cpuinfo=ARM64)
    content = render("proc/cpuinfo", replace(limited, host=host, cpus=shown(1)))
    assert content == (
        b"processor\t: 0\nBogoMIPS\t: 50.00\nCPU part\t: 0xd0d\n\nHardware\t: a board\nSerial\t\t: 0000000000000000\n"
    )


@pytest.mark.parametrize(
    ("cpuinfo", "first"),
    [
        (LOONGARCH, b"system type\t\t: generic machine\n\n"),
        (MIPS, b"system type\t\t: a board\nmachine\t\t\t: Unknown\n"),
    ],
)
def test_cpuinfo_keeps_its_first_section(limited: Snapshot, cpuinfo: bytes, first: bytes) -> None:
    """Lines about the machine come before the first stanza, also when that CPU is not shown."""
    host = replace(limited.host, cpuinfo=cpuinfo)
    content = render("proc/cpuinfo", replace(limited, host=host, cpus=shown(1)))
    assert content.startswith(first)
    assert re.findall(rb"^processor\s*: (\d+)$", content, re.MULTILINE) == [b"0"]
    assert render("proc/cpuinfo", replace(limited, host=host, cpus=shown(0, 1))).count(b"processor") == 2


def test_cpuinfo_without_blank_lines(limited: Snapshot) -> None:
    """User Mode Linux separates stanzas by nothing; procps 4 refuses to read what does not end in a blank line."""
    host = replace(limited.host, cpuinfo=b"processor\t: 0\nmode\t: skas\nprocessor\t: 1\nmode\t: other\n")
    content = render("proc/cpuinfo", replace(limited, host=host, cpus=shown(1)))
    assert content == b"processor\t: 0\nmode\t: other\n\n"
    both = render("proc/cpuinfo", replace(limited, host=host, cpus=shown(0, 1)))
    assert both == b"processor\t: 0\nmode\t: skas\n\nprocessor\t: 1\nmode\t: other\n\n"


def test_cpuinfo_of_a_cpu_that_just_went_offline(limited: Snapshot) -> None:
    """The count stays that of stat and online."""
    content = render("proc/cpuinfo", replace(limited, cpus=shown(0, 7)))
    assert re.findall(rb"^processor\s*: (\d+)$", content, re.MULTILINE) == [b"0", b"1"]


def test_cpuinfo_of_another_format_passes(limited: Snapshot) -> None:
    """Without stanzas there is nothing to number."""
    host = replace(limited.host, cpuinfo=b"cpu\t\t: a\nncpus active\t: 2\n")
    assert render("proc/cpuinfo", replace(limited, host=host)) == host.cpuinfo


@pytest.mark.parametrize(("count", "expected"), [(1, b"0\n"), (2, b"0-1\n"), (128, b"0-127\n")])
def test_online_is_numbered_from_zero(limited: Snapshot, count: int, expected: bytes) -> None:
    """Not the machine's numbers, which cpuinfo and stat do not show either."""
    cpus = shown(*range(64, 64 + count))
    assert render("sys/devices/system/cpu/online", replace(limited, cpus=cpus)) == expected


def test_online_of_unknown_cpus_is_the_machines(limited: Snapshot) -> None:
    """Gaps included."""
    unknown = replace(limited, cpus=None, host=replace(limited.host, online_cpus=(0, 2, 3)))
    assert render("sys/devices/system/cpu/online", unknown) == b"0,2-3\n"
    assert render("proc/cpuinfo", unknown) == limited.host.cpuinfo


def test_all_files_show_as_many_cpus(scenes: dict[str, Callable[[], Snapshot]], scene: str) -> None:
    """cpuinfo, stat and online agree on the number of CPUs in every scene."""
    snapshot = scenes[scene]()
    assert snapshot.cpus is not None
    count = snapshot.cpus.count
    assert len(re.findall(rb"^processor\s*:", render("proc/cpuinfo", snapshot), re.MULTILINE)) == count
    assert len(cpu_rows(render("proc/stat", snapshot))) == count + 1
    online = b"0" if count == 1 else b"0-%d" % (count - 1)
    assert render("sys/devices/system/cpu/online", snapshot) == online + b"\n"


# ---------------------------------------------------------------------------------------------- uptime


def test_uptime_is_age_and_the_idle_time_of_stat(limited: Snapshot) -> None:
    """Idle is the ``cpu`` line's, in ticks, so that the two files never contradict each other."""
    times = CpuTimes(cpus=(CpuTime(idle=1_239_999), CpuTime(idle=2_000_000)), hidden=CpuTime(idle=19_999))
    snapshot = replace(limited, age_seconds=3.999, cpu_times=times)
    assert render("proc/uptime", snapshot) == b"3.99 3.24\n"
    assert cpu_rows(render("proc/stat", snapshot))["cpu"][3] == 324


@pytest.mark.parametrize(
    ("age", "expected"),
    [(0.0, b"0.00"), (0.29, b"0.29"), (12.5, b"12.50"), (1e9 / 3, b"333333333.33"), (-1.0, b"0.00")],
)
def test_uptime_cuts_as_the_kernel(limited: Snapshot, age: float, expected: bytes) -> None:
    """Two decimals, cut; 0.29 stays 0.29 although 0.29 * 100 is less than 29."""
    assert render("proc/uptime", replace(limited, age_seconds=age)).split()[0] == expected


@given(st.integers(0, 10**9), st.integers(0, 9_999))
def test_uptime_is_the_same_until_its_next_tick(ticks: int, usec: int) -> None:
    """Not a microsecond longer: a reader who comes then is told a later age."""
    snapshot = Snapshot(path="/docker/a", host=Host(), age_seconds=ticks / 100 + usec / 1e6, taken_at=5000.0)
    rest = uptime.same_until(snapshot) - snapshot.taken_at
    for early, shown_ticks in ((-2e-6, ticks), (2e-6, ticks + 1)):
        later = replace(snapshot, age_seconds=(snapshot.age_seconds or 0.0) + rest + early)
        assert render("proc/uptime", later).split()[0] == b"%d.%02d" % divmod(shown_ticks, 100)


def test_uptime_of_unknown_age_is_the_machines(limited: Snapshot) -> None:
    """The snapshot's own time is the machine's uptime."""
    assert render("proc/uptime", replace(limited, age_seconds=None)).split()[0] == b"1000.50"


def test_uptime_without_accounts_is_what_was_not_used(limited: Snapshot) -> None:
    """Idle is then age times CPUs less use; unknown use claims no idle time."""
    unknown = replace(limited, cpu_times=None)
    assert render("proc/uptime", unknown) == b"12.50 9.50\n"
    assert render("proc/uptime", replace(unknown, cpus=shown(0, 1))) == b"12.50 22.00\n"
    assert render("proc/uptime", replace(unknown, cpus=None)) == b"12.50 22.00\n"
    assert render("proc/uptime", replace(unknown, cpu=Cpu(usage_usec=99_000_000))) == b"12.50 0.00\n"
    assert render("proc/uptime", replace(unknown, cpu=None)) == b"12.50 0.00\n"
