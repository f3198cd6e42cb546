"""What holds for every snapshot, contradictory ones included: usage above limits, huge values, nothing known."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cgroup_model.snapshot import (
    UNLIMITED,
    Cpu,
    CpuTime,
    CpuTimes,
    Host,
    Hugetlb,
    Io,
    IoDevice,
    Load,
    Memory,
    MemoryBounds,
    MemoryStat,
    Pids,
    Policy,
    ShownCpus,
    Snapshot,
    Tasks,
)
from procfs_fuse.views import VIEWS, View

# A snapshot has some eighty numbers: making one takes longer than rendering it. No test may fail on a slow machine.
quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
thorough = settings(quick, max_examples=200)

HOST_FILES = Path(__file__).resolve().parents[2] / "fixtures" / "hosts" / "two-cpus"
REAL = {path.name: path.read_bytes() for path in HOST_FILES.iterdir()}


def machine(**lines: int) -> bytes:
    """Return the real meminfo with other values, in the kernel's format."""
    content = REAL["meminfo"]
    for name, number in lines.items():
        line = (name.encode() + b":").ljust(16) + b"%8d" % number
        content = re.sub(rb"(?m)^%s: +\d+" % name.encode(), line, content)
    return content


MACHINES = [
    REAL["meminfo"],
    machine(SwapTotal=8388604, SwapFree=6291456, Zswap=5000, Zswapped=12000, SwapCached=700),
    machine(MemTotal=4_227_858_432, MemFree=999, MemAvailable=2_000_000_000, SwapTotal=10**9, SwapFree=10**9),
    machine(MemTotal=65536, MemFree=70000, MemAvailable=80000, Cached=90000, Committed_AS=10**10),  # contradicts itself
    machine(HugePages_Total=4000, HugePages_Free=3000, HugePages_Rsvd=5, Hugetlb=8_192_000),
    re.sub(rb"MemAvailable.*\n", b"", REAL["meminfo"]),
]

sizes = st.one_of(
    st.sampled_from([0, 1, 1023, 4096, 1 << 20, 1 << 28, 1 << 40, (1 << 63) - 4096, (1 << 64) - 1]),
    st.integers(0, 1 << 36),
)
maybe = st.none() | sizes
limits = st.none() | st.just(UNLIMITED) | sizes
counts = st.integers(0, 1 << 22)
stats = st.builds(
    MemoryStat,
    **{
        one.name: maybe
        for one in fields(MemoryStat)
        if not one.name.startswith(("workingset", "pg", "psw", "thp", "zsw"))
    },
)
memories = st.builds(
    Memory,
    current=maybe,
    max=limits,
    swap_current=maybe,
    swap_max=limits,
    swappiness=st.none() | st.integers(0, 100),
    kernel_current=maybe,
    stat=st.just(MemoryStat()) | stats,
)
bounds = st.builds(
    MemoryBounds, max=limits, free=maybe, available=maybe, available_working_set=maybe, swap_max=limits, swap_free=maybe
)
policies = st.builds(
    Policy,
    available=st.sampled_from(["kernel", "working-set"]),
    pid_max=st.sampled_from(["pids", "host"]),
    disable_swap=st.booleans(),
    disable_zswap=st.booleans(),
)
times = st.builds(CpuTime, *[st.integers(0, 1 << 50)] * 5)
cpu_times = st.builds(CpuTimes, cpus=st.lists(times, min_size=1, max_size=4).map(tuple), hidden=times)
numbers = st.lists(st.integers(0, 200), min_size=1, max_size=5, unique=True).map(lambda cpus: tuple(sorted(cpus)))
shown = numbers.map(lambda cpus: ShownCpus(physical=cpus, usable=cpus, quota_cpus=None))
devices = st.builds(IoDevice, st.sampled_from([7, 8, 254]), st.integers(0, 3), *[maybe] * 6)
tasks = st.builds(
    Tasks, counts, counts, counts, counts, last_pid=st.none() | counts, highest_pid=st.none() | counts, forks=maybe
)
loads = st.builds(Load, *[st.floats(0, 1e9)] * 3)
real_hosts = st.builds(
    Host,
    meminfo=st.sampled_from(MACHINES),
    stat=st.just(REAL["stat"]),
    cpuinfo=st.just(REAL["cpuinfo"]),
    swaps=st.just(REAL["swaps"]),
    diskstats=st.just(REAL["diskstats"]),
    online_cpus=numbers,
    pid_max=st.integers(301, 1 << 22),
    threads_max=st.integers(20, 1 << 22),
)
raw = st.none() | st.binary(max_size=200) | st.sampled_from(list(REAL.values()))
broken_hosts = st.builds(
    Host,
    meminfo=raw,
    stat=raw,
    cpuinfo=raw,
    swaps=raw,
    diskstats=raw,
    pid_max=st.none() | counts,
    threads_max=st.none() | counts,
)


def snapshots(hosts: st.SearchStrategy[Host], memory: st.SearchStrategy[Memory | None]) -> st.SearchStrategy[Snapshot]:
    """Return snapshots of any content."""
    return st.builds(
        Snapshot,
        path=st.just("/c"),
        host=hosts,
        policy=policies,
        taken_at=st.floats(0, 1e9),
        age_seconds=st.none() | st.floats(0, 1e9),
        memory=memory,
        memory_bounds=st.none() | bounds,
        cpu=st.none() | st.builds(Cpu, usage_usec=maybe),
        cpus=st.none() | shown,
        cpu_times=st.none() | cpu_times,
        io=st.none() | st.builds(Io, devices=st.lists(devices, max_size=4).map(tuple)),
        pids=st.none() | st.builds(Pids, effective_max=limits),
        hugetlb=st.none()
        | st.lists(st.builds(Hugetlb, maybe.map(lambda n: n or 0), maybe, limits), max_size=3).map(tuple),
        tasks=st.none() | tasks,
        load=st.none() | loads,
    )


anything = snapshots(real_hosts | broken_hosts, st.none() | memories)
with_memory = snapshots(real_hosts, memories)


def values_of(content: bytes) -> dict[str, int]:
    """Parse a meminfo as its readers do."""
    return {
        name.decode(): int(number) for name, number in re.findall(rb"^(\S+): +(\d+)(?: kB)?$", content, re.MULTILINE)
    }


def names_of(content: bytes) -> list[bytes]:
    """Return labels in order."""
    return [line.partition(b":")[0] for line in content.splitlines()]


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
@quick
@given(snapshot=anything)
def test_no_snapshot_is_too_strange(view: View, snapshot: Snapshot) -> None:
    """Whatever is unknown, contradictory or garbled: bytes, and the same bytes again."""
    assert view.render(snapshot) == view.render(snapshot)
    assert all(isinstance(reason, str) for reason in view.missing(snapshot))


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
@quick
@given(snapshot=snapshots(real_hosts, st.none() | memories))
def test_files_are_whole_lines_without_nul(view: View, snapshot: Snapshot) -> None:
    """On a sane machine every file is empty or ends in a newline, and is plain text."""
    content = view.render(snapshot)
    assert content == b"" or content.endswith(b"\n")
    assert b"\0" not in content
    ranges = ("proc/cpuinfo", "sys/devices/system/cpu/")
    assert b"-" not in content or view.PATH.startswith(ranges)  # no negative number


@thorough
@given(snapshot=with_memory)
def test_meminfo_never_contradicts_itself(snapshot: Snapshot) -> None:
    """0 < total, everything within its whole, and no subtraction that readers do goes below zero."""
    assert snapshot.host.meminfo is not None
    lines = values_of(VIEWS["proc/meminfo"].render(snapshot))
    host = values_of(snapshot.host.meminfo)
    total, free = lines["MemTotal"], lines["MemFree"]
    assert 0 < total <= host["MemTotal"]
    assert 0 <= free <= total
    assert lines.get("MemAvailable", 0) <= min(total, host.get("MemAvailable", total))
    assert total - free - lines["Buffers"] - lines["Cached"] - lines["SReclaimable"] >= 0  # procps 3, psutil, htop
    assert lines["SwapFree"] <= lines["SwapTotal"] <= host["SwapTotal"]
    assert lines["SwapFree"] <= host["SwapFree"]
    assert lines["SwapTotal"] - lines["SwapFree"] - lines["SwapCached"] >= 0  # htop
    assert lines["Shmem"] <= lines["Cached"]  # htop, free
    assert lines["Slab"] == lines["SReclaimable"] + lines["SUnreclaim"] <= total - free
    assert lines["Active"] == lines["Active(anon)"] + lines["Active(file)"]
    assert lines["Inactive"] == lines["Inactive(anon)"] + lines["Inactive(file)"]
    assert lines["Active"] + lines["Inactive"] + lines["Unevictable"] <= total - free
    assert lines["Mlocked"] <= lines["Unevictable"]
    assert lines["AnonHugePages"] <= lines["AnonPages"] <= total - free
    assert lines["HugePages_Rsvd"] <= lines["HugePages_Free"] <= lines["HugePages_Total"] <= host["HugePages_Total"]


@quick
@given(snapshot=with_memory)
def test_available_is_never_more_than_every_level_could_give(snapshot: Snapshot) -> None:
    """MemAvailable and MemFree are within what the tightest level has left."""
    known = snapshot.memory_bounds or MemoryBounds()
    left = known.available if snapshot.policy.available == "kernel" else known.available_working_set
    lines = values_of(VIEWS["proc/meminfo"].render(snapshot))
    if left is not None:
        assert lines.get("MemAvailable", 0) <= left // 1024
        assert lines["MemFree"] <= left // 1024


@thorough
@given(one=with_memory, other=snapshots(real_hosts, st.none() | memories))
def test_meminfos_length_depends_on_the_machine_alone(one: Snapshot, other: Snapshot) -> None:
    """Two containers of one machine, or one at two times, have files of one length: the page cache never tears."""
    render = VIEWS["proc/meminfo"].render
    assert len(render(one)) == len(render(replace(other, host=one.host)))


@quick
@given(snapshot=with_memory)
def test_meminfo_has_the_machines_lines_in_its_order(snapshot: Snapshot) -> None:
    """Each line once, none more, none less."""
    assert snapshot.host.meminfo is not None
    assert names_of(VIEWS["proc/meminfo"].render(snapshot)) == names_of(snapshot.host.meminfo)


@quick
@given(snapshot=with_memory)
def test_swaps_agrees_with_meminfo(snapshot: Snapshot) -> None:
    """The one area is SwapTotal; its use is what is not free."""
    lines = values_of(VIEWS["proc/meminfo"].render(snapshot))
    areas = VIEWS["proc/swaps"].render(snapshot).splitlines()[1:]
    assert [line.split()[2:4] for line in areas] == (
        [[b"%d" % lines["SwapTotal"], b"%d" % (lines["SwapTotal"] - lines["SwapFree"])]] if lines["SwapTotal"] else []
    )


def cpu_fields(content: bytes) -> list[list[int]]:
    """Return the fields of the ``cpu`` line and of each CPU's."""
    return [[int(field) for field in line.split()[1:]] for line in content.splitlines() if line.startswith(b"cpu")]


@quick
@given(snapshot=anything, before=cpu_times, data=st.data())
def test_stat_adds_up_and_never_falls(snapshot: Snapshot, before: CpuTimes, data: st.DataObject) -> None:
    """The ``cpu`` line is the sum of its parts, and grows in every field when the accounts grow or CPUs are hidden."""

    def later(time: CpuTime) -> CpuTime:
        grown = {one.name: getattr(time, one.name) + data.draw(st.integers(0, 30_000)) for one in fields(CpuTime)}
        return CpuTime(**grown)

    def hide_last(all_times: CpuTimes) -> CpuTimes:
        *kept, last = all_times.cpus
        merged = {one.name: getattr(all_times.hidden, one.name) + getattr(last, one.name) for one in fields(CpuTime)}
        return CpuTimes(cpus=tuple(kept), hidden=CpuTime(**merged))

    after = CpuTimes(cpus=tuple(later(time) for time in before.cpus), hidden=later(before.hidden))
    if len(after.cpus) > 1 and data.draw(st.booleans()):
        after = hide_last(after)
    first, second = (
        cpu_fields(VIEWS["proc/stat"].render(replace(snapshot, host=Host(), cpu_times=accounts)))
        for accounts in (before, after)
    )
    hidden = [after.hidden.user, after.hidden.nice, after.hidden.system, after.hidden.idle, 0, 0, 0, after.hidden.steal]
    for column, unseen in enumerate([usec // 10_000 for usec in hidden]):
        assert second[0][column] == sum(line[column] for line in second[1:]) + unseen
    for older, newer in zip(first, second, strict=False):
        assert all(new >= old for old, new in zip(older, newer, strict=True))
    assert {len(line) for line in first} == {10}


@quick
@given(snapshot=snapshots(real_hosts, st.none()))
def test_cpuinfo_numbers_from_zero(snapshot: Snapshot) -> None:
    """As many stanzas as shown CPUs, numbered in order; every stanza ends with a blank line."""
    content = VIEWS["proc/cpuinfo"].render(snapshot)
    count = snapshot.cpus.count if snapshot.cpus is not None else 2
    assert [int(number) for number in re.findall(rb"^processor\s*: (\d+)$", content, re.MULTILINE)] == list(
        range(count)
    )
    assert content.count(b"\n\n") == count
    assert content.endswith(b"\n\n")


@quick
@given(snapshot=snapshots(real_hosts, st.none()))
def test_uptime_and_loadavg_are_well_formed(snapshot: Snapshot) -> None:
    """The exact shape of the kernel's lines, for any number."""
    assert re.fullmatch(rb"\d+\.\d\d \d+\.\d\d\n", VIEWS["proc/uptime"].render(snapshot))
    loadavg = VIEWS["proc/loadavg"].render(snapshot)
    shape = re.fullmatch(rb"\d+\.\d\d \d+\.\d\d \d+\.\d\d (\d+)/(\d+) \d+\n", loadavg)
    assert shape is not None or (loadavg == b"" and snapshot.load is None and snapshot.tasks is None)
    if shape is not None:
        assert 1 <= int(shape[1]) <= int(shape[2])


@quick
@given(snapshot=snapshots(real_hosts, st.none()))
def test_limits_are_within_the_machines_and_above_what_is_used(snapshot: Snapshot) -> None:
    """pid_max is above the highest pid wherever the machine's is, and neither file exceeds the machine's."""
    pid_max = int(VIEWS["proc/sys/kernel/pid_max"].render(snapshot))
    threads_max = int(VIEWS["proc/sys/kernel/threads-max"].render(snapshot))
    assert snapshot.host.pid_max is not None
    assert snapshot.host.threads_max is not None
    assert 301 <= pid_max <= snapshot.host.pid_max
    assert 1 <= threads_max <= snapshot.host.threads_max
    if snapshot.tasks is not None and snapshot.tasks.highest_pid is not None:
        assert pid_max > min(snapshot.tasks.highest_pid, snapshot.host.pid_max - 1)
