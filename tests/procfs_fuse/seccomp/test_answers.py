"""What is answered: records of sysinfo(2) from texts, and masks."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procfs_fuse.seccomp import answers
from procfs_fuse.seccomp.abi import SYSINFO, SysInfo, abis, unpacked

MEMINFO = """\
MemTotal:         262144 kB
MemFree:          183552 kB
MemAvailable:     200000 kB
Buffers:              12 kB
Shmem:               100 kB
SwapTotal:          4096 kB
SwapFree:           1024 kB
HugePages_Total:       0
"""
FILES = {"proc/meminfo": MEMINFO, "proc/uptime": "12.50 11.98\n", "proc/loadavg": "0.06 0.02 1.57 2/92 5690\n"}

SIZES = st.integers(0, 2**50)
FACTS = st.builds(
    SysInfo,
    st.integers(0, 2**31 - 1),
    st.tuples(*[st.integers(0, 2**31)] * 3),
    *[SIZES] * 6,
    st.integers(0, 2**16 - 1),
)


def test_every_field_is_that_of_the_files() -> None:
    """Sizes in bytes, seconds rounded up as the kernel does, threads from /proc/loadavg."""
    found = answers.sysinfo(FILES)
    assert (found.total, found.free, found.shared, found.buffers) == (262144 << 10, 183552 << 10, 100 << 10, 12 << 10)
    assert (found.swap_total, found.swap_free, found.procs, found.uptime_seconds) == (4096 << 10, 1024 << 10, 92, 13)


@given(st.integers(0, 10_000_00))
def test_loads_print_as_they_were_read(hundredths: int) -> None:
    """Busybox cuts digits off, and must come to the very number of /proc/loadavg."""
    shown = f"{hundredths // 100}.{hundredths % 100:02}"
    load = answers.sysinfo({**FILES, "proc/loadavg": f"{shown} {shown} 0.00 1/1 1\n"}).loads[0]
    assert (load >> 16, (load & 0xFFFF) * 100 >> 16) == divmod(hundredths, 100)


@pytest.mark.parametrize("broken", ["", "MemTotal: x kB\n", "\n\n"])
def test_texts_that_are_no_such_files_are_refused(broken: str) -> None:
    """Nothing is made up from half a file."""
    with pytest.raises((ValueError, KeyError)):
        answers.sysinfo({**FILES, "proc/meminfo": broken})


@given(FACTS)
def test_a_64_bit_record_loses_nothing(facts: SysInfo) -> None:
    """112 bytes, in bytes."""
    record = facts.packed(64)
    assert len(record) == 112
    assert unpacked(record) == facts


@given(FACTS)
def test_a_32_bit_record_is_the_kernels(facts: SysInfo) -> None:
    """64 bytes; sizes beyond 4 GiB are counted in pages, as in COMPAT_SYSCALL_DEFINE1(sysinfo)."""
    record = facts.packed(32)
    assert len(record) == 64
    (unit,) = struct.unpack_from("=I", record, 52)
    assert unit == (4096 if max(facts.total, facts.swap_total) >= 1 << 32 else 1)
    if facts.total < 1 << 32:
        assert unpacked(record).total == facts.total // unit * unit


@given(st.binary(min_size=8, max_size=64), st.integers(1, 70))
def test_masks_are_cut_never_widened_never_emptied(mask: bytes, count: int) -> None:
    """The first CPUs of the mask stay, as many as are shown."""
    before, after = (int.from_bytes(one, "little") for one in (mask, answers.cut(mask, count)))
    assert after & ~before == 0
    assert after.bit_count() == min(count, before.bit_count())
    assert len(answers.cut(mask, count)) == len(mask)
    assert before & ((1 << after.bit_length()) - 1) == after, "the lowest ones"


def test_numbers_of_calls() -> None:
    """By architecture; a number that is none of ours has no name."""
    native, compatible = abis("x86_64")
    assert (native.call(99), compatible.call(116), native.call(116)) == (SYSINFO, SYSINFO, None)
    assert abis("vax") == ()
