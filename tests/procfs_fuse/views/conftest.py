"""Scenes: containers made by hand on the files of a real machine, and what golden files need."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cgroup_model.snapshot import (
    UNLIMITED,
    Cpu,
    Cpuset,
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
    Pressure,
    PressureLine,
    PressureResource,
    ShownCpus,
    Snapshot,
    SysFiles,
    Tasks,
)

TESTS = Path(__file__).resolve().parents[2]
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
SECOND = 1_000_000  # microseconds


def two_cpus() -> Host:
    """Return a virtual machine of 24 GB with two CPUs and no swap."""
    files: dict[str, Any] = {
        path.name: path.read_bytes() for path in (TESTS / "fixtures" / "hosts" / "two-cpus").iterdir()
    }
    return Host(
        **files,
        cpu_files=SysFiles(_cpu_files(2)),
        node_files=SysFiles(_node_files(files["meminfo"], (0, 1))),
        online_cpus=(0, 1),
        pid_max=32768,
        threads_max=192_718,
    )


def _cpu_files(count: int) -> dict[str, bytes]:
    """Return the files of a machine of sockets with 64 threads, two to a core, and a clock that changes."""
    found = {"kernel_max": b"8191\n", "offline": b"200-255\n", "isolated": b"7\n", "smt/active": b"1\n"}
    found |= {"vulnerabilities/meltdown": b"Not affected\n", "smt/control": b"on\n", "uevent": b""}
    for cpu in range(count):
        core, socket = cpu // 2 * 2, cpu // 64 * 64
        for name, value in {
            "topology/core_id": b"%d" % (core // 2),
            "topology/physical_package_id": b"%d" % (cpu // 64),
            "topology/thread_siblings": b"ffff,ffffffff",
            "topology/thread_siblings_list": b"%d-%d" % (core, core + 1),
            "topology/core_siblings": b"ffff,ffffffff",
            "topology/core_siblings_list": b"%d-%d" % (socket, socket + 63),
            "cache/index0/level": b"1",
            "cache/index0/size": b"32K",
            "cache/index0/shared_cpu_list": b"%d-%d" % (core, core + 1),
            "cache/index0/shared_cpu_map": b"3",
            "cache/index3/size": b"32768K",
            "cache/index3/shared_cpu_list": b"%d-%d" % (socket, socket + 63),
            "cpufreq/cpuinfo_max_freq": b"3500000",
            "cpufreq/scaling_cur_freq": b"1234567",
            "cpufreq/affected_cpus": b"%d" % cpu,
        }.items():
            found[f"cpu{cpu}/{name}"] = value + b"\n"
    return found


def _node_files(meminfo: bytes, *cpus: tuple[int, ...]) -> dict[str, bytes]:
    """Return the files of nodes with these CPUs and memory in equal parts."""
    last = len(cpus) - 1
    nodes = b"0\n" if last == 0 else b"0-%d\n" % last
    found = dict.fromkeys(("online", "possible", "has_cpu", "has_memory"), nodes)
    lines = [line for line in meminfo.splitlines(keepends=True) if not line.startswith((b"Vm", b"Commit", b"Direct"))]
    for node, own in enumerate(cpus):
        text = b"".join(b"Node %d %s" % (node, line) for line in lines)
        found[f"node{node}/meminfo"] = text + b"Node %d MemUsed:  1 kB\nNode %d FilePages: 1 kB\n" % (node, node)
        found[f"node{node}/cpulist"] = b"%d-%d\n" % (own[0], own[-1])
        found[f"node{node}/cpumap"] = b"3\n"
        found[f"node{node}/distance"] = (
            b" ".join(b"10" if other == node else b"21" for other in range(last + 1)) + b"\n"
        )
        found[f"node{node}/numastat"] = b"numa_hit 5\nnuma_miss 7\n"
    return found


def with_swap(host: Host) -> Host:
    """Add 8 GB of swap, a quarter of it used."""
    assert host.meminfo is not None
    meminfo = re.sub(rb"(SwapTotal: +)       0", rb"\g<1> 8388604", host.meminfo)
    meminfo = re.sub(rb"(SwapFree: +)       0", rb"\g<1> 6291456", meminfo)
    return replace(host, meminfo=meminfo)


def many_cpus(count: int) -> Host:
    """Return the same machine with many CPUs and 1 TB, whose numbers need more than eight digits."""
    host = two_cpus()
    assert host.meminfo is not None
    assert host.cpuinfo is not None
    stanza = host.cpuinfo.split(b"\n\n")[0]
    stanzas = [
        re.sub(rb"(processor|core id|apicid)(\s*): 0", rb"\1\2: %d" % number, stanza) + b"\n\n"
        for number in range(count)
    ]
    lines = [b"cpu%d %d 0 %d 98623 6 0 3 5 0 0\n" % (number, number, 2 * number) for number in range(count)]
    total = b"cpu  8128 0 16256 12623744 768 0 384 640 0 0\n"
    return replace(
        host,
        meminfo=re.sub(rb"(Mem\w+: +)(\d+)", lambda match: match[1][:-2] + b"10" + match[2], host.meminfo),
        cpuinfo=b"".join(stanzas),
        stat=total + b"".join(lines) + b"intr 132431 0 7\nctxt 277392\nbtime 1795239650\nprocesses 5690\n",
        cpu_files=SysFiles(_cpu_files(count)),
        node_files=SysFiles(_node_files(host.meminfo, tuple(range(count // 2)), tuple(range(count // 2, count)))),
        online_cpus=tuple(range(count)),
    )


def _v2_stat() -> MemoryStat:
    return MemoryStat(
        anon=60 * MIB,
        file=40 * MIB,
        kernel=12 * MIB,
        kernel_stack=512 * KIB,
        pagetables=2 * MIB,
        sec_pagetables=0,
        percpu=300_000,
        sock=0,
        vmalloc=64 * KIB,
        shmem=8 * MIB,
        zswap=0,
        zswapped=0,
        file_mapped=16 * MIB,
        file_dirty=132 * KIB,
        file_writeback=0,
        swapcached=0,
        anon_thp=32 * MIB,
        file_thp=0,
        shmem_thp=2 * MIB,
        inactive_anon=9 * MIB,
        active_anon=59 * MIB,
        inactive_file=20 * MIB,
        active_file=12 * MIB,
        unevictable=0,
        slab_reclaimable=5_000_000,
        slab_unreclaimable=3_000_001,
        slab=8_000_001,
    )


def _stalls(total_usec: int) -> PressureResource:
    line = PressureLine(avg10=0.5, avg60=0.12, avg300=0.05, total_usec=total_usec)
    text = b"avg10=0.50 avg60=0.12 avg300=0.05 total=%d" % total_usec
    return PressureResource(some=line, full=line, raw=b"some %s\nfull %s\n" % (text, text))


def v2_limited() -> Snapshot:
    """Return a container of 256 MiB, one CPU and 100 tasks, every part known."""
    return Snapshot(
        path="/limited",
        host=two_cpus(),
        taken_at=1000.5,
        age_seconds=12.5,
        memory=Memory(current=112 * MIB, max=256 * MIB, swap_current=0, swap_max=0, stat=_v2_stat()),
        memory_bounds=MemoryBounds(
            max=256 * MIB,
            max_origin="/limited",
            free=144 * MIB,
            available=176 * MIB + 5_000_000,
            available_working_set=164 * MIB + 5_000_000,
            swap_max=0,
            swap_free=0,
        ),
        cpu=Cpu(
            usage_usec=3 * SECOND, user_usec=2 * SECOND, system_usec=SECOND, quota_usec=100_000, period_usec=100_000
        ),
        cpus=ShownCpus(physical=(1,), usable=(1,), quota_cpus=1.0),
        cpu_times=CpuTimes(cpus=(CpuTime(user=2 * SECOND, system=SECOND, idle=9_500_000),)),
        io=Io(devices=(IoDevice(254, 0, rbytes=4096, wbytes=1 << 20, rios=1, wios=17, dbytes=512, dios=1),)),
        pids=Pids(current=5, max=100, effective_max=100),
        pressure=Pressure(cpu=_stalls(1500), memory=_stalls(20), io=_stalls(0)),
        tasks=Tasks(running=1, uninterruptible=1, total=5, processes=3, last_pid=41, highest_pid=41, forks=40),
        load=Load(1.0, 0.25, 0.05),
    )


def v1_limited() -> Snapshot:
    """Return a container of cgroup v1, whose controller does not break kernel memory down."""
    stat = MemoryStat(
        anon=60 * MIB,
        file=40 * MIB,
        shmem=8 * MIB,
        file_mapped=16 * MIB,
        file_dirty=132 * KIB,
        file_writeback=0,
        anon_thp=32 * MIB,
        inactive_anon=9 * MIB,
        active_anon=59 * MIB,
        inactive_file=20 * MIB,
        active_file=12 * MIB,
        unevictable=0,
    )
    bounds = MemoryBounds(max=256 * MIB, free=144 * MIB, available=176 * MIB, available_working_set=164 * MIB)
    memory = Memory(current=112 * MIB, max=256 * MIB, kernel_current=12 * MIB, swappiness=60, stat=stat)
    io = Io(devices=(IoDevice(254, 0, rbytes=4096, wbytes=1 << 20, rios=1, wios=17),))
    slabs = b"slabinfo - version: 2.1\ndentry 21 42 192 21 1 : tunables 0 0 0 : slabdata 2 2 0\n"
    return replace(v2_limited(), memory=memory, memory_bounds=bounds, io=io, pressure=None, slabinfo=slabs)


def v2_swap() -> Snapshot:
    """Return a container with swap, compressed swap and a limit on huge pages."""
    limited = v2_limited()
    assert limited.memory is not None
    assert limited.memory_bounds is not None
    stat = replace(limited.memory.stat, zswap=3 * MIB, zswapped=10 * MIB, swapcached=MIB)
    return replace(
        limited,
        host=with_swap(limited.host),
        memory=replace(limited.memory, swap_current=20 * MIB, swap_max=64 * MIB, stat=stat),
        memory_bounds=replace(limited.memory_bounds, swap_max=64 * MIB, swap_free=44 * MIB),
        hugetlb=(Hugetlb(page_size=2 * MIB, current=0, max=4 * MIB),),
    )


def unlimited() -> Snapshot:
    """Return a container without any limit on a machine with swap."""
    limited = v2_limited()
    assert limited.memory is not None
    return replace(
        limited,
        host=with_swap(limited.host),
        memory=replace(limited.memory, max=UNLIMITED, swap_max=UNLIMITED),
        memory_bounds=MemoryBounds(max=UNLIMITED, high=UNLIMITED, swap_max=UNLIMITED),
        cpus=ShownCpus(physical=(0, 1), usable=(0, 1), quota_cpus=UNLIMITED),
        cpu_times=CpuTimes(cpus=(CpuTime(user=SECOND, idle=11_500_000), CpuTime(system=SECOND, idle=11_500_000))),
        pids=Pids(current=5, max=UNLIMITED, effective_max=UNLIMITED),
    )


def fractional_quota() -> Snapshot:
    """Return a container of 2.5 CPUs on CPUs 64 to 127 of 128; once it was shown more."""
    limited = v2_limited()
    usable = tuple(range(64, 128))
    times = tuple(CpuTime(user=10_009_999 * n, system=5_005_000, idle=70_000_000 + n, steal=n) for n in (1, 2, 3))
    return replace(
        limited,
        host=many_cpus(128),
        cpus=ShownCpus(physical=usable[:3], usable=usable, quota_cpus=2.5),
        cpu_times=CpuTimes(cpus=times, hidden=CpuTime(user=123_456_789, nice=10_000, idle=987_654_321)),
    )


def no_memory_controller() -> Snapshot:
    """Return a container of which only CPU and tasks are known, seen while its accounts are not there yet."""
    return replace(v2_limited(), memory=None, memory_bounds=None, cpu_times=None, io=None, pids=None, load=None)


def half_quota() -> Snapshot:
    """Return a container of half a CPU on a machine of 128."""
    return _with_quota(0.5, 1)


def one_and_a_half_quota() -> Snapshot:
    """Return a container of one and a half CPUs on a machine of 128."""
    return _with_quota(1.5, 2)


def cpuset_view() -> Snapshot:
    """Return a container of one and a half CPUs that is shown its whole cpuset, CPUs 62 to 65 of 128 and node 1."""
    cpus = ShownCpus(physical=(62, 63, 64, 65), usable=(62, 63, 64, 65), quota_cpus=1.5)
    times = tuple(CpuTime(user=SECOND * number) for number in range(4))
    return replace(
        _with_quota(1.5, 2),
        policy=Policy(cpu_view="cpuset"),
        cpus=cpus,
        cpu_times=CpuTimes(cpus=times),
        cpuset=Cpuset(cpus_effective=cpus.usable, mems_effective=(1,)),
    )


def _with_quota(quota_cpus: float, count: int) -> Snapshot:
    cpus = ShownCpus(physical=tuple(range(count)), usable=tuple(range(128)), quota_cpus=quota_cpus)
    times = CpuTimes(cpus=tuple(CpuTime(user=SECOND, idle=2 * SECOND) for _ in range(count)))
    return replace(v2_limited(), host=many_cpus(128), cpus=cpus, cpu_times=times)


SCENES: dict[str, Callable[[], Snapshot]] = {
    "v1-limited": v1_limited,
    "v2-limited": v2_limited,
    "v2-swap": v2_swap,
    "unlimited": unlimited,
    "fractional-quota": fractional_quota,
    "no-memory-controller": no_memory_controller,
    "half-quota": half_quota,
    "one-and-a-half-quota": one_and_a_half_quota,
    "cpuset-view": cpuset_view,
}


@pytest.fixture(scope="session")
def scenes() -> dict[str, Callable[[], Snapshot]]:
    """Return the makers of all scenes by name."""
    return SCENES


@pytest.fixture(params=SCENES)
def scene(request: pytest.FixtureRequest) -> str:
    """Return the name of each scene in turn."""
    return str(request.param)


@pytest.fixture
def limited() -> Snapshot:
    """Return the scene that other tests vary."""
    return v2_limited()


@pytest.fixture
def golden(*, update_golden: bool) -> Callable[[str, bytes], None]:
    """Return the comparison of a content with the expected file; ``--update-golden`` writes it instead."""

    def compare(name: str, content: bytes) -> None:
        path = TESTS / "golden" / name
        if update_golden:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        assert path.is_file(), f"no golden file {name}: run `make golden` and read the difference"
        assert content == path.read_bytes()

    return compare
