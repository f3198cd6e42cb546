"""The rules of meminfo and swaps that docs/files.md states."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from cgroup_model.snapshot import UNLIMITED, Hugetlb, MemoryStat, Policy, Snapshot
from procfs_fuse.views import VIEWS

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


def values_of(content: bytes) -> dict[str, int]:
    """Parse a meminfo as its readers do."""
    return {
        name.decode(): int(number) for name, number in re.findall(rb"^(\S+): +(\d+)(?: kB)?$", content, re.MULTILINE)
    }


def meminfo(snapshot: Snapshot) -> dict[str, int]:
    """Render and parse."""
    return values_of(VIEWS["proc/meminfo"].render(snapshot))


def host_values(snapshot: Snapshot) -> dict[str, int]:
    """Parse the machine's file."""
    assert snapshot.host.meminfo is not None
    return values_of(snapshot.host.meminfo)


def changed(snapshot: Snapshot, **fields: object) -> Snapshot:
    """Change fields of memory, its stat (``stat_...``) and its bounds (``bounds_...``)."""
    assert snapshot.memory is not None
    assert snapshot.memory_bounds is not None
    stat = {name[5:]: value for name, value in fields.items() if name.startswith("stat_")}
    bounds = {name[7:]: value for name, value in fields.items() if name.startswith("bounds_")}
    own = {name: value for name, value in fields.items() if not name.startswith(("stat_", "bounds_"))}
    memory = replace(snapshot.memory, **own)  # type: ignore[arg-type]
    memory = replace(memory, stat=replace(memory.stat, **stat))  # type: ignore[arg-type]
    return replace(snapshot, memory=memory, memory_bounds=replace(snapshot.memory_bounds, **bounds))  # type: ignore[arg-type]


def host_with(snapshot: Snapshot, **lines: int) -> Snapshot:
    """Change lines of the machine's file, in the kernel's format."""
    content = snapshot.host.meminfo
    assert content is not None
    for name, number in lines.items():
        content, found = re.subn(
            rb"(?m)^%s: +\d+" % name.encode(), (name.encode() + b":").ljust(16) + b"%8d" % number, content
        )
        assert found == 1
    return replace(snapshot, host=replace(snapshot.host, meminfo=content))


def used_procps_3(lines: dict[str, int]) -> int:
    """Compute `used` as procps 3.3 and psutil do."""
    return lines["MemTotal"] - lines["MemFree"] - lines["Buffers"] - lines["Cached"] - lines["SReclaimable"]


def used_procps_4(lines: dict[str, int]) -> int:
    """Compute `used` as procps 4 does."""
    return lines["MemTotal"] - lines["MemAvailable"]


def test_total_is_the_limit_and_free_what_is_not_used(limited: Snapshot) -> None:
    """A container of 256 MiB that uses 112 MiB has 144 MiB free."""
    lines = meminfo(limited)
    assert lines["MemTotal"] == 256 * KIB
    assert lines["MemFree"] == 144 * KIB
    assert lines["MemAvailable"] == 176 * KIB + 5_000_000 // KIB


@pytest.mark.parametrize("limit", [0, 1, 1023, None, UNLIMITED, 100 * GIB, 1 << 63])
def test_a_limit_that_cannot_be_is_the_machine(limited: Snapshot, limit: object) -> None:
    """MemTotal is never zero (`ps` divides by it) and never more than there is."""
    lines = meminfo(changed(limited, bounds_max=limit))
    assert lines["MemTotal"] == host_values(limited)["MemTotal"]


def test_usage_above_a_lowered_limit_is_no_underflow(limited: Snapshot) -> None:
    """A limit may be set below what is used: free is then zero, not 2^64."""
    over = changed(limited, bounds_max=64 * MIB, bounds_available=0, swap_current=8 * MIB)
    lines = meminfo(over)
    assert lines["MemTotal"] == 64 * KIB
    assert lines["MemFree"] == lines["MemAvailable"] == lines["SwapFree"] == 0
    assert used_procps_3(lines) >= 0


def test_what_siblings_took_is_neither_free_nor_available(limited: Snapshot) -> None:
    """Below a common limit the neighbours count: MemFree follows MemAvailable."""
    lines = meminfo(changed(limited, bounds_available=50 * MIB))
    assert lines["MemAvailable"] == 50 * KIB
    assert lines["MemFree"] == 50 * KIB - 32 * KIB - 5_000_000 // KIB
    assert abs(used_procps_3(lines) - used_procps_4(lines)) <= 8 * KIB + 1  # shared memory is in Cached


def test_available_is_no_more_than_the_machine_has(limited: Snapshot) -> None:
    """A limit is not a reservation: an exhausted machine shows in every container."""
    lines = meminfo(host_with(limited, MemAvailable=40 * KIB))
    assert lines["MemAvailable"] == 40 * KIB
    assert lines["MemFree"] < 40 * KIB


def test_working_set_policy_counts_active_cache_as_used(limited: Snapshot) -> None:
    """``--available=working-set`` changes MemAvailable alone: free memory is a fact."""
    lines = meminfo(replace(limited, policy=Policy(available="working-set")))
    assert lines["MemAvailable"] == 164 * KIB + 5_000_000 // KIB
    assert lines["MemFree"] == 144 * KIB


def test_both_ways_of_computing_used_agree(limited: Snapshot) -> None:
    """`free` of procps 3 and 4 show the same, up to shared memory, which one counts as cache."""
    lines = meminfo(changed(limited, stat_shmem=0, stat_file=32 * MIB))
    assert used_procps_3(lines) == used_procps_4(lines) == 80 * KIB - 5_000_000 // KIB


def test_without_a_limit_the_division_is_the_machines(limited: Snapshot) -> None:
    """Used is then the machine's in every `free`; what the processes have stays the container's."""
    lines = meminfo(changed(limited, bounds_max=UNLIMITED, bounds_available=None))
    host = host_values(limited)
    divided = ("MemTotal", "MemFree", "MemAvailable", "Buffers", "Cached", "Slab", "SReclaimable", "KReclaimable")
    assert {name: lines[name] for name in divided} == {name: host[name] for name in divided}
    assert lines["AnonPages"] == 60 * KIB
    assert used_procps_3(lines) == used_procps_3(host)


def test_an_ancestors_high_bounds_what_is_free(limited: Snapshot) -> None:
    """Above ``high`` allocations stall, so what lies there is not free even without a limit."""
    lines = meminfo(changed(limited, bounds_max=UNLIMITED, bounds_available=70 * MIB))
    assert lines["MemFree"] == lines["MemAvailable"] == 70 * KIB


def test_lines_are_consistent_with_one_another(limited: Snapshot) -> None:
    """Sums are sums, also where halves of a kB were cut."""
    lines = meminfo(limited)
    assert lines["Active"] == lines["Active(anon)"] + lines["Active(file)"] == 71 * KIB
    assert lines["Inactive"] == lines["Inactive(anon)"] + lines["Inactive(file)"] == 29 * KIB
    assert lines["Slab"] == lines["SReclaimable"] + lines["SUnreclaim"]
    assert lines["KReclaimable"] == lines["SReclaimable"] == 5_000_000 // KIB


def test_known_values_are_the_control_files(limited: Snapshot) -> None:
    """Lines that lxcfs leaves at zero or at the machine's value are the container's."""
    lines = meminfo(limited)
    expected = {
        "Cached": 40 * KIB,
        "Mapped": 16 * KIB,
        "Dirty": 132,
        "AnonPages": 60 * KIB,
        "AnonHugePages": 32 * KIB,
        "ShmemHugePages": 2 * KIB,
        "KernelStack": 512,
        "PageTables": 2 * KIB,
        "Percpu": 300_000 // KIB,
        "VmallocUsed": 64,
        "Committed_AS": 68 * KIB,
        "CommitLimit": 256 * KIB,
        "DirectMap1G": 0,
    }
    assert {name: lines[name] for name in expected} == expected


def test_kernel_memory_that_v1_does_not_break_down_is_slab(limited: Snapshot) -> None:
    """The sum is right and nothing is promised back; parts are the machine's, cut to that sum."""
    stat = MemoryStat(anon=60 * MIB, file=40 * MIB)
    assert limited.memory is not None
    v1 = replace(limited, memory=replace(limited.memory, stat=stat, kernel_current=MIB))
    lines, host = meminfo(v1), host_values(limited)
    assert lines["Slab"] == lines["SUnreclaim"] == KIB
    assert lines["SReclaimable"] == 0
    assert lines["PageTables"] == min(KIB, host["PageTables"])
    assert lines["Percpu"] == min(KIB, host["Percpu"])


def test_unknown_statistics_are_the_machines_within_usage(limited: Snapshot) -> None:
    """Unknown is not zero, and not 24 GB in a small container either."""
    assert limited.memory is not None
    small = replace(limited, memory=replace(limited.memory, current=4 * MIB, stat=MemoryStat()))
    lines, host = meminfo(changed(small, bounds_available=252 * MIB)), host_values(limited)
    assert lines["AnonPages"] == lines["Cached"] == 4 * KIB < min(host["AnonPages"], host["Cached"])
    assert 0 < lines["Active"] + lines["Inactive"] <= 4 * KIB


def test_unknown_usage_shows_what_the_machine_has_free(limited: Snapshot) -> None:
    """Without a usage free memory is bounded by the limit and the machine, not invented."""
    lines = meminfo(changed(limited, current=None))
    assert lines["MemTotal"] == 256 * KIB
    assert lines["MemFree"] == lines["MemAvailable"] == 176 * KIB + 5_000_000 // KIB


def test_swap_is_bounded_by_limit_ancestors_and_machine(limited: Snapshot) -> None:
    """SwapTotal is the limit, SwapFree what every level and the machine have left."""
    swapping = host_with(
        changed(limited, swap_current=20 * MIB, bounds_swap_max=64 * MIB, bounds_swap_free=44 * MIB),
        SwapTotal=GIB // KIB,
        SwapFree=GIB // KIB,
    )
    lines = meminfo(swapping)
    assert (lines["SwapTotal"], lines["SwapFree"]) == (64 * KIB, 44 * KIB)
    assert meminfo(changed(swapping, bounds_swap_free=MIB))["SwapFree"] == KIB
    assert meminfo(host_with(swapping, SwapFree=7))["SwapFree"] == 7
    assert meminfo(changed(swapping, bounds_swap_max=UNLIMITED))["SwapTotal"] == GIB // KIB


def test_swap_policies(limited: Snapshot) -> None:
    """``--disable-swap`` hides swap in meminfo and swaps, ``--disable-zswap`` only its compressed part."""
    swapping = host_with(
        changed(limited, swap_current=20 * MIB, bounds_swap_max=64 * MIB, stat_zswap=MIB, stat_zswapped=4 * MIB),
        SwapTotal=GIB // KIB,
        SwapFree=GIB // KIB,
    )
    assert meminfo(swapping)["Zswapped"] == 4 * KIB
    hidden = replace(swapping, policy=Policy(disable_swap=True))
    assert {meminfo(hidden)[name] for name in ("SwapTotal", "SwapFree", "SwapCached", "Zswap", "Zswapped")} == {0}
    assert VIEWS["proc/swaps"].render(hidden).count(b"\n") == 1
    uncompressed = meminfo(replace(swapping, policy=Policy(disable_zswap=True)))
    assert (uncompressed["SwapTotal"], uncompressed["Zswap"], uncompressed["Zswapped"]) == (64 * KIB, 0, 0)


def test_a_v1_group_that_may_not_swap_has_only_what_it_swapped(limited: Snapshot) -> None:
    """Swappiness 0 on cgroup v1 forbids swapping, so there is no room beyond what is used."""
    swapping = host_with(
        changed(limited, swap_current=3 * MIB, swappiness=0, bounds_swap_max=UNLIMITED),
        SwapTotal=GIB // KIB,
        SwapFree=GIB // KIB,
    )
    lines = meminfo(swapping)
    assert (lines["SwapTotal"], lines["SwapFree"]) == (3 * KIB, 0)


def test_swaps_has_meminfos_numbers(limited: Snapshot) -> None:
    """`swapon` and `free` show the same, in the columns of the kernel."""
    swapping = host_with(
        changed(limited, swap_current=20 * MIB, bounds_swap_max=64 * MIB, bounds_swap_free=44 * MIB),
        SwapTotal=GIB // KIB,
        SwapFree=GIB // KIB,
    )
    header, line, rest = VIEWS["proc/swaps"].render(swapping).split(b"\n")
    assert rest == b""
    assert header + b"\n" == limited.host.swaps
    assert line.split() == [b"none", b"virtual", b"65536", b"20480", b"0"]
    columns = [field.expandtabs() for field in (header, line)]
    assert columns[1].index(b"virtual") == columns[0].index(b"Type")


def test_swaps_is_the_machines_without_a_memory_controller(limited: Snapshot) -> None:
    """An unknown swap usage is not an empty file."""
    assert VIEWS["proc/swaps"].render(replace(limited, memory=None)) == limited.host.swaps


def test_huge_pages_are_the_part_of_the_pool_that_is_allowed(limited: Snapshot) -> None:
    """The default size is bounded by its limit, Hugetlb by the limits of all sizes."""
    pool = host_with(limited, HugePages_Total=100, HugePages_Free=30, HugePages_Rsvd=10, Hugetlb=100 * 2 * KIB)
    none = meminfo(pool)
    assert (none["HugePages_Total"], none["HugePages_Free"], none["Hugetlb"]) == (0, 0, 0)
    limit = (Hugetlb(2 * MIB, current=6 * MIB, max=16 * MIB), Hugetlb(GIB, current=0, max=0))
    lines = meminfo(replace(pool, hugetlb=limit))
    assert [lines[f"HugePages_{name}"] for name in ("Total", "Free", "Rsvd", "Surp")] == [8, 5, 5, 0]
    assert lines["Hugetlb"] == 16 * KIB
    free = meminfo(replace(pool, hugetlb=(Hugetlb(2 * MIB, current=0, max=UNLIMITED),)))
    assert (free["HugePages_Total"], free["HugePages_Free"], free["Hugetlb"]) == (100, 30, 100 * 2 * KIB)


def test_without_a_memory_controller_it_is_the_machines_file(limited: Snapshot) -> None:
    """Unknown memory shows the machine's, byte for byte where eight digits are enough."""
    assert VIEWS["proc/meminfo"].render(replace(limited, memory=None)) == limited.host.meminfo


def test_lines_of_a_newer_kernel_pass_through(limited: Snapshot) -> None:
    """What this version does not know is not dropped, also when it is no number."""
    assert limited.host.meminfo is not None
    newer = b"NewPages:           1234 kB\nA100%s: strange\n\n"
    host = replace(limited.host, meminfo=newer + limited.host.meminfo)
    assert VIEWS["proc/meminfo"].render(replace(limited, host=host)).startswith(newer)


def test_a_garbled_machine_file_is_no_exception(limited: Snapshot) -> None:
    """The kernel's word that is not understood is passed on: there is nothing better."""
    for garbage in (b"", b"\n", b"MemTotal:\n", b"MemTotal: many kB\n", b"MemTotal:              0 kB\nMemFree: x\n"):
        host = replace(limited.host, meminfo=garbage)
        assert VIEWS["proc/meminfo"].render(replace(limited, host=host)) == garbage


def test_every_line_gets_the_room_of_the_machines_total(limited: Snapshot) -> None:
    """Above 95 GB the kernel's columns move with the values; here all lines get the room of the largest."""
    large = host_with(limited, MemTotal=1_234_567_890, MemFree=7, HugePages_Total=123_456_789)
    content = VIEWS["proc/meminfo"].render(large)
    kept = (b"VmallocTotal", b"HugePages")
    widths = {len(line) for line in content.splitlines() if not line.startswith(kept)}
    assert widths == {16 + 10 + len(" kB")}
    # The same room where the machine's values are shown, though the kernel gave seven eight digits.
    assert len(VIEWS["proc/meminfo"].render(replace(large, memory=None))) == len(content)


def test_psutil_reads_it(limited: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real reader finds every line it looks for, and its numbers are the container's."""
    (tmp_path / "meminfo").write_bytes(VIEWS["proc/meminfo"].render(limited))
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(tmp_path))
    memory = psutil.virtual_memory()
    assert memory.total == 256 * MIB
    assert memory.free == 144 * MIB
    assert memory.shared == 8 * MIB
    assert memory.available == 176 * MIB + 5_000_000 // KIB * KIB
    assert memory.cached == 40 * MIB + 5_000_000 // KIB * KIB
    assert memory.slab == 8_000_001 // KIB * KIB - KIB  # two halves of a kB are cut
