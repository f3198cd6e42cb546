"""What to answer, from the virtual files that the caller's container is shown. Pure: texts in, values out.

proc/meminfo   total, free, shared, buffers, swap; the same generation that readers of the file are given
proc/uptime    seconds, rounded up as the kernel does it (do_sysinfo() in kernel/sys.c)
proc/loadavg   the averages, and the number of threads
sys/devices/system/cpu/online   how many CPUs there are
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from cgroup_model.parse import id_list
from procfs_fuse.seccomp.abi import SCHED_GETAFFINITY, SYSINFO, SysInfo

FILES: Final[Mapping[str, Sequence[str]]] = {
    SYSINFO: ("proc/meminfo", "proc/uptime", "proc/loadavg"),
    SCHED_GETAFFINITY: ("sys/devices/system/cpu/online",),
}
"""Call -> the files whose content it tells."""

_LOAD_ONE: Final = 1 << 16  # SI_LOAD_SHIFT


def sysinfo(files: Mapping[str, str]) -> SysInfo:
    """The record, from the texts of `FILES`. Raises ValueError or KeyError on texts that are not such files."""
    memory = _kib_lines(files["proc/meminfo"])
    one, five, fifteen, tasks, _newest = files["proc/loadavg"].split()
    return SysInfo(
        uptime_seconds=_rounded_up(files["proc/uptime"].split()[0]),
        loads=(_load(one), _load(five), _load(fifteen)),
        total=memory["MemTotal"] << 10,
        free=memory["MemFree"] << 10,
        shared=memory.get("Shmem", 0) << 10,
        buffers=memory["Buffers"] << 10,
        swap_total=memory["SwapTotal"] << 10,
        swap_free=memory["SwapFree"] << 10,
        procs=int(tasks.partition("/")[2]),
    )


def shown_cpus(files: Mapping[str, str]) -> int:
    """How many CPUs the container is shown; at least 1. Raises ValueError or KeyError as `sysinfo` does."""
    (name,) = FILES[SCHED_GETAFFINITY]
    return max(1, len(id_list(files[name].encode())))


def cut(mask: bytes, count: int) -> bytes:
    """The affinity mask with its first ``count`` CPUs only: never wider, and never empty if it was not."""
    bits = int.from_bytes(mask, "little")
    kept = 0
    for _ in range(count):
        lowest = bits & -bits
        kept |= lowest
        bits ^= lowest
    return kept.to_bytes(len(mask), "little")


def _kib_lines(text: str) -> dict[str, int]:
    rows = (line.split() for line in text.splitlines())
    return {row[0].rstrip(":"): int(row[1]) for row in rows if row[2:] == ["kB"]}


def _hundredths(number: str) -> int:
    whole, _, fraction = number.partition(".")
    return int(whole) * 100 + int(fraction.ljust(2, "0")[:2])


def _rounded_up(seconds: str) -> int:
    return -(-_hundredths(seconds) // 100)


def _load(average: str) -> int:
    """The least number that prints as this average where digits are cut off, as busybox does it."""
    return -(-_hundredths(average) * _LOAD_ONE // 100)
