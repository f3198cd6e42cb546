"""Both dialects on files as kernels have written them, on files that are missing, and on garbage."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgroup_model.dialects import Dialect, MemoryLevel, Quota, dialect_for, v1, v2
from cgroup_model.dialects.v1 import io as io_of_v1
from cgroup_model.mounts import Hierarchy
from cgroup_model.parse import ParseError
from cgroup_model.snapshot import (
    UNLIMITED,
    Core,
    Cpu,
    Cpuset,
    Hugetlb,
    Io,
    IoDevice,
    Memory,
    MemoryEvents,
    NumaPages,
    Pids,
    Throttling,
)
from cgroup_model.source import CgroupGone, Missing, Source

CONTROLLERS = ("", "memory", "cpu", "cpuacct", "cpuset", "io", "pids", "hugetlb", "freezer")
NO_LIMIT_V1 = "9223372036854771712\n"


class Files:
    """A directory with the control files of one cgroup."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.source = Source(budget=0, absent_seconds=0)

    def write(self, files: Mapping[str, str]) -> None:
        """Write files by name."""
        for name, content in files.items():
            (self.directory / name).write_text(content)

    def dirs(self, *controllers: str) -> dict[str, str]:
        """Serve these controllers from the directory; all when none is named."""
        return dict.fromkeys(controllers or CONTROLLERS, str(self.directory))

    def read(self, dialect: ModuleType, what: str, files: Mapping[str, str], *controllers: str) -> object:
        """Read with ``read_<what>`` from exactly these files."""
        for old in self.directory.iterdir():
            old.unlink()
        self.write(files)
        return getattr(dialect, f"read_{what}")(self.source, self.dirs(*controllers))


@pytest.fixture
def cgroup(tmp_path: Path) -> Files:
    """Return an empty cgroup."""
    return Files(tmp_path)


def test_modules_are_dialects() -> None:
    """Both modules offer every function of the protocol, and are chosen by version."""
    for version, module in ((1, v1), (2, v2)):
        assert dialect_for(Hierarchy(version, "/", "/", frozenset())) is module  # type: ignore[arg-type]
        for name in vars(Dialect):
            if name.startswith(("read_", "write_")):
                assert callable(getattr(module, name))


# ---------------------------------------------------------------------------------------------- memory

MEMORY_V1 = {
    "memory.usage_in_bytes": "1000\n",
    "memory.limit_in_bytes": "268435456\n",
    "memory.stat": "cache 1\nrss 2\nhierarchical_memory_limit 134217728\ntotal_cache 400\ntotal_rss 300\n"
    "total_rss_huge 200\ntotal_shmem 50\ntotal_mapped_file 60\ntotal_dirty 7\ntotal_writeback 8\ntotal_swap 99\n"
    "total_inactive_file 120\ntotal_active_file 230\nunknown_key what\n",
}
MEMORY_V2 = {
    "memory.stat": "anon 300\nfile 400\nkernel 40\n"
    "inactive_file 120\nactive_file 230\nslab_reclaimable 11\nnew_key x\n",
    "memory.current": "1000\n",
    "memory.max": "268435456\n",
}


def test_v1_memory_translates_the_total_values(cgroup: Files) -> None:
    """The subtree's values under v2's names; what v1 does not count is unknown."""
    memory = cgroup.read(v1, "memory", MEMORY_V1)
    assert isinstance(memory, Memory)
    stat = memory.stat
    assert (stat.file, stat.anon, stat.anon_thp, stat.shmem, stat.file_mapped) == (400, 300, 200, 50, 60)
    assert (stat.file_dirty, stat.file_writeback, stat.inactive_file, stat.active_file) == (7, 8, 120, 230)
    assert (stat.slab, stat.kernel_stack, stat.percpu) == (None, None, None)
    assert (memory.current, memory.max, memory.working_set) == (1000, 268435456, 880)


def test_v1_memory_without_swap_accounting_knows_no_swap_limit(cgroup: Files) -> None:
    """No memsw files: the limit is unknown, not unlimited; events are unknown without oom_control."""
    memory = cgroup.read(v1, "memory", MEMORY_V1)
    assert isinstance(memory, Memory)
    assert (memory.swap_max, memory.events, memory.kernel_current, memory.high) == (None, None, None, None)


@pytest.mark.parametrize(
    ("memory", "memsw", "swap"),
    [
        ("100\n", "150\n", 50),
        ("100\n", "100\n", 0),
        ("150\n", "100\n", 0),
        ("100\n", NO_LIMIT_V1, UNLIMITED),
        (NO_LIMIT_V1, NO_LIMIT_V1, UNLIMITED),
    ],
)
def test_v1_swap_limit_is_the_difference(cgroup: Files, memory: str, memsw: str, swap: object) -> None:
    """Limit of memory and swap, less the limit of memory; never negative; unlimited when the sum is."""
    files = MEMORY_V1 | {"memory.limit_in_bytes": memory, "memory.memsw.limit_in_bytes": memsw}
    result = cgroup.read(v1, "memory", files)
    assert isinstance(result, Memory)
    assert result.swap_max == swap


def test_v1_swap_usage_comes_from_stat_else_from_the_difference(cgroup: Files) -> None:
    """memory.stat is one consistent reading; without it memsw - memory, and never below zero."""
    files = MEMORY_V1 | {"memory.memsw.usage_in_bytes": "1064\n", "memory.memsw.limit_in_bytes": NO_LIMIT_V1}
    cgroup.write(files)
    dirs = cgroup.dirs()
    assert v1.read_memory_level(cgroup.source, dirs, with_stat=True).swap_current == 99
    assert v1.read_memory_level(cgroup.source, dirs, with_stat=False).swap_current == 64
    cgroup.write({"memory.memsw.usage_in_bytes": "900\n"})
    assert v1.read_memory_level(cgroup.source, dirs, with_stat=False).swap_current == 0


def test_v1_oom_control(cgroup: Files) -> None:
    """Kills, and the flags that only v1 has; kernels before 4.13 do not count kills."""
    files = {**MEMORY_V1, "memory.oom_control": "oom_kill_disable 0\nunder_oom 1\noom_kill 3\n"}
    memory = cgroup.read(v1, "memory", files)
    assert isinstance(memory, Memory)
    assert memory.events == memory.events_local == MemoryEvents(oom_kill=3)
    assert (memory.oom_kill_disable, memory.under_oom) == (False, True)
    old = cgroup.read(v1, "memory", {**MEMORY_V1, "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\n"})
    assert isinstance(old, Memory)
    assert old.events is None


@pytest.mark.parametrize(
    ("written", "limit"),
    [
        ("9223372036854771712", UNLIMITED),  # 4 KiB pages
        ("9223372036854710272", UNLIMITED),  # 64 KiB pages
        ("9223372036854775807", UNLIMITED),
        ("-1", UNLIMITED),
        ("0", 0),
        ("1099511627776", 1 << 40),
    ],
)
def test_v1_limits_that_are_none(cgroup: Files, written: str, limit: object) -> None:
    """The counter's maximum, rounded to any size of page, is unlimited; zero is zero."""
    memory = cgroup.read(v1, "memory", MEMORY_V1 | {"memory.limit_in_bytes": written})
    assert isinstance(memory, Memory)
    assert memory.max == limit


def test_v2_memory(cgroup: Files) -> None:
    """Names are the kernel's; every file this kernel lacks is unknown; unknown keys are skipped."""
    files = MEMORY_V2 | {
        "memory.high": "max\n",
        "memory.swap.max": "0\n",
        "memory.zswap.writeback": "1\n",
        "memory.oom.group": "0\n",
        "memory.events": "low 0\nhigh 5\nmax 2\noom 1\noom_kill 1\noom_group_kill 0\nnew 7\n",
    }
    memory = cgroup.read(v2, "memory", files)
    assert isinstance(memory, Memory)
    assert (memory.current, memory.max, memory.high, memory.swap_max) == (1000, 268435456, UNLIMITED, 0)
    assert (memory.low, memory.peak, memory.zswap_current, memory.events_local) == (None, None, None, None)
    assert (memory.zswap_writeback, memory.oom_group, memory.kernel_current) == (True, False, 40)
    assert memory.events == MemoryEvents(low=0, high=5, max=2, oom=1, oom_kill=1, oom_group_kill=0)
    assert (memory.stat.anon, memory.stat.slab_reclaimable, memory.stat.shmem) == (300, 11, None)


def test_v2_root_has_stat_only(cgroup: Files) -> None:
    """The root's memory record has no usage and no limits; as a level it is missing, since it limits nothing."""
    memory = cgroup.read(v2, "memory", {"memory.stat": MEMORY_V2["memory.stat"]})
    assert isinstance(memory, Memory)
    assert (memory.current, memory.max, memory.stat.anon) == (None, None, 300)
    with pytest.raises(Missing):
        v2.read_memory_level(cgroup.source, cgroup.dirs(), with_stat=False)


def test_levels_read_the_same_in_both_dialects(cgroup: Files) -> None:
    """A level's numbers agree; memory.stat is not touched unless asked for."""
    expected = MemoryLevel(max=268435456, current=1000, active_file=230, inactive_file=120)
    cgroup.write(MEMORY_V1 | MEMORY_V2 | {"memory.stat": MEMORY_V1["memory.stat"]})
    level = v1.read_memory_level(cgroup.source, cgroup.dirs(), with_stat=True)
    assert level == replace(expected, swap_current=99, hierarchical_max=134217728)
    cgroup.write({"memory.stat": MEMORY_V2["memory.stat"]})
    level = v2.read_memory_level(cgroup.source, cgroup.dirs(), with_stat=True)
    assert level == replace(expected, slab_reclaimable=11)
    cgroup.write({"memory.stat": "garbage\n"})
    level = v2.read_memory_level(cgroup.source, cgroup.dirs(), with_stat=False)
    assert level == MemoryLevel(max=268435456, current=1000)


# ------------------------------------------------------------------------------------------------- cpu

CPU_V1 = {
    "cpu.shares": "2048\n",
    "cpu.cfs_quota_us": "-1\n",
    "cpu.cfs_period_us": "100000\n",
    "cpu.stat": "nr_periods 10\nnr_throttled 3\nthrottled_time 5000000\nnr_bursts 1\nburst_time 2000\n",
    "cpu.stat.local": "throttled_time 4000000\n",
    "cpuacct.usage": "3000000999\n",
    "cpuacct.stat": "user 200\nsystem 100\n",
    "cpuacct.usage_all": "cpu user system\n0 1000000 2000000\n1 500 1500\n",
}


def test_v1_cpu_comes_in_microseconds(cgroup: Files) -> None:
    """Nanoseconds and ticks are converted; -1 is unlimited; shares are put on v2's scale."""
    cpu = cgroup.read(v1, "cpu", CPU_V1)
    assert cpu == Cpu(
        usage_usec=3000000,
        user_usec=2000000,
        system_usec=1000000,
        per_cpu_usec={0: (1000, 2000), 1: (0, 1)},
        quota_usec=UNLIMITED,
        period_usec=100000,
        weight=200,
        shares=2048,
        throttling=Throttling(10, 3, 5000, 1, 2),
        throttling_local_usec=4000,
    )


def test_v1_ticks_follow_user_hz(cgroup: Files) -> None:
    """USER_HZ is asked, not assumed."""
    cgroup.write(CPU_V1)
    assert v1.read_cpu(cgroup.source, cgroup.dirs(), user_hz=1000).user_usec == 200_000


def test_v1_without_usage_all_divides_each_cpu_like_the_total(cgroup: Files) -> None:
    """Old kernels have a sum per CPU only: user and system in the ratio of all CPUs, adding up to that sum."""
    files = {name: text for name, text in CPU_V1.items() if name != "cpuacct.usage_all"}
    cpu = cgroup.read(v1, "cpu", files | {"cpuacct.usage_percpu": "3000000 9000 \n"})
    assert isinstance(cpu, Cpu)
    assert cpu.per_cpu_usec == {0: (2000, 1000), 1: (6, 3)}


def test_v1_cpu_and_cpuacct_may_be_apart_or_alone(cgroup: Files) -> None:
    """Whichever hierarchy is there speaks; neither is `Missing`."""
    only_acct = cgroup.read(v1, "cpu", CPU_V1, "cpuacct")
    only_cpu = cgroup.read(v1, "cpu", CPU_V1, "cpu")
    assert isinstance(only_acct, Cpu)
    assert isinstance(only_cpu, Cpu)
    assert (only_acct.usage_usec, only_acct.shares) == (3000000, None)
    assert (only_cpu.usage_usec, only_cpu.shares) == (None, 2048)
    with pytest.raises(Missing):
        cgroup.read(v1, "cpu", CPU_V1, "memory")


@pytest.mark.parametrize(("shares", "weight"), [(2, 1), (1024, 100), (262144, 10000)])
def test_v1_shares_become_weight(cgroup: Files, shares: int, weight: int) -> None:
    """The kernel's own conversion, clamped to v2's range."""
    cpu = cgroup.read(v1, "cpu", CPU_V1 | {"cpu.shares": str(shares)})
    assert isinstance(cpu, Cpu)
    assert cpu.weight == weight


CPU_V2 = {
    "cpu.stat": "usage_usec 30\nuser_usec 20\nsystem_usec 10\nnice_usec 5\ncore_sched.force_idle_usec 0\n"
    "nr_periods 10\nnr_throttled 3\nthrottled_usec 5000\nnr_bursts 0\nburst_usec 0\n",
    "cpu.max": "50000 100000\n",
    "cpu.uclamp.min": "12.50\n",
    "cpu.uclamp.max": "max\n",
    "cpu.idle": "1\n",
    "cpu.stat.local": "throttled_usec 4000\n",
}


def test_v2_cpu(cgroup: Files) -> None:
    """Every file of the controller; quota in CPUs."""
    cpu = cgroup.read(v2, "cpu", CPU_V2)
    assert isinstance(cpu, Cpu)
    assert (cpu.usage_usec, cpu.user_usec, cpu.system_usec, cpu.nice_usec) == (30, 20, 10, 5)
    assert (cpu.quota_usec, cpu.period_usec, cpu.quota_cpus) == (50000, 100000, 0.5)
    assert (cpu.uclamp_min, cpu.uclamp_max, cpu.idle, cpu.weight) == (12.5, 100.0, True, None)
    assert (cpu.throttling, cpu.throttling_local_usec) == (Throttling(10, 3, 5000, 0, 0), 4000)


def test_v2_usage_is_known_without_the_cpu_controller(cgroup: Files) -> None:
    """cpu.stat is in every cgroup: usage is known, quota and throttling are not."""
    cpu = cgroup.read(v2, "cpu", {"cpu.stat": "usage_usec 30\nuser_usec 20\nsystem_usec 10\n"}, "")
    assert cpu == Cpu(usage_usec=30, user_usec=20, system_usec=10)


def test_quotas_read_the_same_in_both_dialects(cgroup: Files) -> None:
    """Quota and period; both ways to say unlimited, where nobody asks for the period."""
    cgroup.write(CPU_V1 | CPU_V2 | {"cpu.cfs_quota_us": "50000\n"})
    dirs = cgroup.dirs()
    assert v1.read_quota(cgroup.source, dirs) == v2.read_quota(cgroup.source, dirs) == Quota(50000, 100000)
    cgroup.write({"cpu.cfs_quota_us": "-1\n", "cpu.max": "max 100000\n"})
    assert v1.read_quota(cgroup.source, dirs) == v2.read_quota(cgroup.source, dirs) == Quota(UNLIMITED)


def test_cpusets_read_the_same_in_both_dialects(cgroup: Files) -> None:
    """Configured and effective lists; only v2 has partitions."""
    files = {
        "cpuset.cpus": "0-3\n",
        "cpuset.mems": "\n",
        "cpuset.effective_cpus": "0-1\n",
        "cpuset.effective_mems": "0\n",
    }
    files |= {"cpuset.cpus.effective": "0-1\n", "cpuset.mems.effective": "0\n", "cpuset.cpus.partition": "member\n"}
    expected = Cpuset((0, 1), (0,), (0, 1, 2, 3), ())
    assert cgroup.read(v1, "cpuset", files) == expected
    assert cgroup.read(v2, "cpuset", files) == replace(expected, partition="member")


def test_v1_cpuset_without_effective_lists(cgroup: Files) -> None:
    """Kernels before 3.17: what is configured is in effect."""
    cpuset = cgroup.read(v1, "cpuset", {"cpuset.cpus": "0-1\n", "cpuset.mems": "0\n"})
    assert cpuset == Cpuset((0, 1), (0,), (0, 1), (0,))


# ------------------------------------------------------------------------------------ io, pids, hugetlb


def blkio(prefix: str, suffix: str, read: int, operations: int) -> dict[str, str]:
    """Make a pair of v1 files with one device."""
    return {
        f"blkio.{prefix}.io_service_bytes{suffix}": f"8:0 Read {read}\n8:0 Write 20\n8:0 Sync 9\nTotal 30\n",
        f"blkio.{prefix}.io_serviced{suffix}": f"8:0 Read {operations}\n8:0 Write 2\n8:0 Discard 4\nTotal 3\n",
    }


def test_v1_io_takes_the_first_files_that_counted(cgroup: Files) -> None:
    """Throttle before BFQ, but a file without any device does not hide another; local where nothing is recursive."""
    throttle, bfq = blkio("throttle", "_recursive", 10, 1), blkio("bfq", "_recursive", 11, 1)
    local = blkio("throttle", "", 12, 1)
    empty = dict.fromkeys(throttle, "Total 0\n")
    for files, rbytes in ((throttle | bfq | local, 10), (empty | bfq | local, 11), (local, 12), (bfq, 11)):
        io = cgroup.read(v1, "io", files)
        assert io == Io((IoDevice(8, 0, rbytes, 20, 1, 2, dios=4),))
    assert cgroup.read(v1, "io", empty) == Io()
    with pytest.raises(Missing):
        cgroup.read(v1, "io", {"blkio.weight": "500\n"})


def test_v1_io_sources(cgroup: Files) -> None:
    """Those files count that name a disk at the top; where none does nothing is known, not zero."""
    throttle, bfq = (blkio(who, "_recursive", 1, 1) for who in ("throttle", "bfq"))
    recursive = dict.fromkeys(throttle, "Total 0\n")
    for files, first in ((throttle | bfq, 0), (recursive | bfq, 1)):
        cgroup.write(files)
        assert v1.io_sources(cgroup.source, str(cgroup.directory))[0] == io_of_v1.RECURSIVE[first]
    cgroup.write(dict.fromkeys(throttle | bfq, "Total 0\n"))
    with pytest.raises(Missing):
        v1.io_sources(cgroup.source, str(cgroup.directory))
    for name in throttle | bfq:
        (cgroup.directory / name).unlink()
    cgroup.write(blkio("throttle", "", 1, 1))
    assert v1.io_sources(cgroup.source, str(cgroup.directory)) == io_of_v1.OWN


def test_v1_io_limits(cgroup: Files) -> None:
    """Limits join counters by device; a limited device that was never used is there, too."""
    files = blkio("throttle", "_recursive", 10, 1) | {
        "blkio.throttle.read_bps_device": "8:16 1048576\n",
        "blkio.throttle.write_iops_device": "8:0 120\n",
        "blkio.bfq.weight": "100\n",
    }
    assert cgroup.read(v1, "io", files) == Io(
        (IoDevice(8, 0, 10, 20, 1, 2, dios=4, wiops_max=120), IoDevice(8, 16, rbps_max=1048576)), weight=100
    )


@pytest.mark.parametrize(
    ("dialect", "name", "limited", "unlimited"),
    [
        (v1, "blkio.throttle.write_bps_device", "8:16 4096", "8:16 0"),
        (v2, "io.max", "8:16 wbps=4096", "8:16 wbps=max"),
    ],
)
def test_limit_of_writes(cgroup: Files, dialect: ModuleType, name: str, limited: str, unlimited: str) -> None:
    """Zero is v1's word for no limit."""
    for limit, written in ((4096, limited), (UNLIMITED, unlimited)):
        cgroup.write({name: ""})
        dialect.write_wbps_max(cgroup.source, cgroup.dirs(), (8, 16), limit)
        assert (cgroup.directory / name).read_text() == written


def test_v2_io(cgroup: Files) -> None:
    """The kernel's order, keys of iocost skipped, devices without counters left out, limits joined."""
    files = {
        "io.stat": "8:16 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6 cost.usage=7 cost.wait=x\n"
        "7:0 8:0 rbytes=9\n8:32 rb",
        "io.max": "8:0 rbps=2097152 wbps=max riops=max wiops=120\n253:0 rbps=1 wbps=max riops=max wiops=max\n",
        "io.weight": "default 50\n8:0 200\n",
    }
    assert cgroup.read(v2, "io", files) == Io(
        (
            IoDevice(8, 16, 1, 2, 3, 4, 5, 6),
            IoDevice(8, 0, 9, rbps_max=2097152, wbps_max=UNLIMITED, riops_max=UNLIMITED, wiops_max=120),
            IoDevice(253, 0, rbps_max=1, wbps_max=UNLIMITED, riops_max=UNLIMITED, wiops_max=UNLIMITED),
        ),
        weight=50,
    )


def test_v2_io_weight_of_bfq(cgroup: Files) -> None:
    """BFQ's file speaks where io.weight is missing; its older form has no key."""
    for written in ("default 70\n", "70\n"):
        assert cgroup.read(v2, "io", {"io.stat": "", "io.bfq.weight": written}) == Io(weight=70)


@pytest.mark.parametrize("dialect", [v1, v2])
def test_pids(cgroup: Files, dialect: ModuleType) -> None:
    """The same files in both; old kernels have no peak and no events."""
    files = {"pids.current": "7\n", "pids.max": "max\n", "pids.peak": "9\n", "pids.events": "max 3\n"}
    assert cgroup.read(dialect, "pids", files) == Pids(7, UNLIMITED, 9, 3)
    assert cgroup.read(dialect, "pids", {"pids.current": "7\n", "pids.max": "100\n"}) == Pids(7, 100)
    assert dialect.read_pids_max(cgroup.source, cgroup.dirs()) == 100


def test_hugetlb_reads_the_same_in_both_dialects(cgroup: Files) -> None:
    """A record per size, ascending; never-set limits read as the counter's maximum on v2 as well."""
    v1_files: dict[str, str] = {}
    v2_files: dict[str, str] = {}
    for size, limit_v2 in (("1GB", "9223372036854771712"), ("2MB", "max"), ("64KB", "65536")):
        limit_v1 = limit_v2.replace("max", "9223372036852678656")
        v1_files |= {f"hugetlb.{size}.usage_in_bytes": "0", f"hugetlb.{size}.limit_in_bytes": limit_v1}
        v1_files |= {f"hugetlb.{size}.failcnt": "4"}
        v2_files |= {
            f"hugetlb.{size}.current": "0",
            f"hugetlb.{size}.max": limit_v2,
            f"hugetlb.{size}.events": "max 4\n",
        }
    expected = (
        Hugetlb(64 << 10, 0, 65536, events_max=4),
        Hugetlb(2 << 20, 0, UNLIMITED, events_max=4),
        Hugetlb(1 << 30, 0, UNLIMITED, events_max=4),
    )
    assert cgroup.read(v1, "hugetlb", v1_files) == expected
    assert cgroup.read(v2, "hugetlb", v2_files) == expected
    with pytest.raises(Missing):
        cgroup.read(v2, "hugetlb", {})


# ------------------------------------------------------------------------------------------------- core


def test_v2_core(cgroup: Files) -> None:
    """State of the cgroup; the root has neither events nor type."""
    stat = "nr_descendants 3\nnr_subsys_memory 1\nnr_dying_descendants 2\n"
    files = {"cgroup.stat": stat, "cgroup.events": "populated 1\nfrozen 0\n", "cgroup.type": "domain threaded\n"}
    assert cgroup.read(v2, "core", files) == Core(True, False, "domain threaded", 3, 2)  # noqa: FBT003
    assert cgroup.read(v2, "core", {"cgroup.stat": stat}) == Core(nr_descendants=3, nr_dying_descendants=2)


@pytest.mark.parametrize(("state", "frozen"), [("THAWED", False), ("FREEZING", False), ("FROZEN", True)])
def test_v1_freezer(cgroup: Files, state: str, frozen: bool) -> None:  # noqa: FBT001
    """Frozen means at rest, not on the way; other words are malformed."""
    assert cgroup.read(v1, "core", {"freezer.state": f"{state}\n"}) == Core(frozen=frozen)
    with pytest.raises(ParseError, match="FROZEN"):
        cgroup.read(v1, "core", {"freezer.state": "MELTED\n"})


def test_pressure_without_irq_is_unknown(cgroup: Files) -> None:
    """A resource without a file is None."""
    line = "some avg10=0.00 avg60=0.00 avg300=0.00 total=1\n"
    pressure = v2.read_pressure(cgroup.source, cgroup.dirs())
    assert (pressure.cpu, pressure.irq) == (None, None)
    cgroup.write({"cpu.pressure": line})
    cpu = v2.read_pressure(cgroup.source, cgroup.dirs()).cpu
    assert cpu is not None
    assert cpu.some is not None
    assert (cpu.some.total_usec, cpu.full) == (1, None)


# -------------------------------------------------------------------------------- missing, gone, garbage

READERS = ("memory", "cpu", "quota", "cpuset", "io", "pids", "pids_max", "hugetlb", "core")
BOTH = [(dialect, reader) for dialect in (v1, v2) for reader in READERS]


@pytest.mark.parametrize(("dialect", "reader"), BOTH)
def test_a_controller_that_nothing_serves_is_missing(cgroup: Files, dialect: ModuleType, reader: str) -> None:
    """No hierarchy, or none of its files: `Missing`, never a record of unknowns."""
    read = getattr(dialect, f"read_{reader}")
    with pytest.raises(Missing):
        read(cgroup.source, {})
    with pytest.raises(Missing):
        read(cgroup.source, cgroup.dirs())


@pytest.mark.parametrize(("dialect", "reader"), [*BOTH, (v2, "pressure")])
def test_a_cgroup_that_is_gone_is_never_a_record(cgroup: Files, dialect: ModuleType, reader: str) -> None:
    """`CgroupGone` passes through every reader, also from optional files."""
    dirs = dict.fromkeys(CONTROLLERS, str(cgroup.directory / "removed"))
    with pytest.raises(CgroupGone):
        getattr(dialect, f"read_{reader}")(cgroup.source, dirs)


class SameContent(Source):
    """Every file there is, all with the same bytes."""

    content = b""

    def read(self, directory: str, name: str) -> bytes:  # noqa: ARG002
        """Return the bytes."""
        return self.content

    def read_all(self, directory: str, names: Sequence[str], *, keep: bool = True) -> tuple[bytes, ...]:  # noqa: ARG002
        """Return the bytes for each."""
        return (self.content,) * len(names)

    def names(self, directory: str) -> tuple[str, ...]:  # noqa: ARG002
        """Return names of every form that is looked for."""
        return tuple(f"hugetlb.2MB.{suffix}" for suffix in ("current", "usage_in_bytes"))


WORDS = st.sampled_from(
    b"0,1,-1,max,default,8:0,rbytes=1,rbps=max,Read,Total,anon,total_rss,usage_usec,user,cpu user system\n,oom_kill,"
    b"low,populated,frozen,some,full,avg10=1.0,total=1,0-1,domain,FROZEN,\n, ,1.5,nr_periods,100000".split(b",")
)
GARBAGE = st.one_of(
    st.binary(),
    st.lists(WORDS).map(b" ".join),
    st.lists(st.lists(WORDS, min_size=1, max_size=4).map(b" ".join)).map(lambda lines: b"\n".join(lines) + b"\n"),
)


@pytest.mark.parametrize(("dialect", "reader"), [*BOTH, (v2, "pressure"), (v1, "procs"), (v2, "threads")])
@given(content=GARBAGE)
def test_any_bytes_give_a_record_or_a_parse_error(dialect: ModuleType, reader: str, content: bytes) -> None:
    """Whatever control files hold, no reader ends in anything but a value or `ParseError`."""
    source = SameContent(budget=0)
    source.content = content
    read: Callable[[Source, object], object] = getattr(dialect, f"read_{reader}")
    with suppress(ParseError):
        read(source, "/cgroup" if reader in ("procs", "threads") else dict.fromkeys(CONTROLLERS, "/cgroup"))


@pytest.mark.parametrize("dialect", [v1, v2])
@given(content=GARBAGE)
def test_any_bytes_give_a_level_or_a_parse_error(dialect: Dialect, content: bytes) -> None:
    """The same for the cheap read of ancestors."""
    source = SameContent(budget=0)
    source.content = content
    with suppress(ParseError):
        dialect.read_memory_level(source, dict.fromkeys(CONTROLLERS, "/cgroup"), with_stat=True)


# --------------------------------------------------------------------------------------------- memory nodes


def test_pages_by_node_v1(cgroup: Files) -> None:
    """A record per type, scope and node; other keys are left out."""
    text = "total=30 N0=10 N1=20\nfile=3 N0=1 N1=2\nother=1 N0=1\nhierarchical_total=70 N0=50 N1=20\n"
    found = cgroup.read(v1, "numa", {"memory.numa_stat": text})
    assert found == (
        NumaPages("total", "container", 0, 10),
        NumaPages("total", "container", 1, 20),
        NumaPages("file", "container", 0, 1),
        NumaPages("file", "container", 1, 2),
        NumaPages("total", "hierarchy", 0, 50),
        NumaPages("total", "hierarchy", 1, 20),
    )


def test_pages_by_node_v2(cgroup: Files) -> None:
    """v2 has bytes of single lists: their sums are what v1 tells."""
    page = os.sysconf("SC_PAGE_SIZE")
    lists = {"inactive_anon": 1, "active_anon": 2, "inactive_file": 4, "active_file": 8, "unevictable": 16, "anon": 99}
    text = "".join(f"{name} N0={pages * page} N1=0\n" for name, pages in lists.items())
    found = cgroup.read(v2, "numa", {"memory.numa_stat": text})
    assert isinstance(found, tuple)
    assert {one.type: one.pages for one in found if one.node == 0} == {
        "anon": 3,
        "file": 12,
        "unevictable": 16,
        "total": 31,
    }
    assert {one.pages for one in found if one.node == 1} == {0}
    assert {one.scope for one in found} == {"hierarchy"}


@pytest.mark.parametrize("dialect", [v1, v2])
@pytest.mark.parametrize(
    "text", ["total=1 N0\nactive_anon N0\n", "file=1 0=1\nactive_file 0=1\n", "anon=1 N0=x\nactive_anon N0=x\n"]
)
def test_nonsense_about_nodes_is_no_number(cgroup: Files, dialect: ModuleType, text: str) -> None:
    """A line of another form is malformed, not zero."""
    with pytest.raises(ParseError):
        cgroup.read(dialect, "numa", {"memory.numa_stat": text})
