"""The calls as the kernel's binary interfaces have them: numbers, and the record that sysinfo(2) fills in.

Sources: arch/*/entry/syscalls/*.tbl and include/uapi/asm-generic/unistd.h (numbers), include/uapi/linux/audit.h
(architectures), include/uapi/linux/sysinfo.h and kernel/sys.c (COMPAT_SYSCALL_DEFINE1(sysinfo)).
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

SYSINFO: Final = "sysinfo"
SCHED_GETAFFINITY: Final = "sched_getaffinity"

_RECORD_64: Final = struct.Struct("=q3Q6QHHxxxxQQIxxxx")
_RECORD_32: Final = struct.Struct("=i3I6IHHIII8x")
_MOST_PROCS: Final = 2**16 - 1
_MOST_32: Final = 2**32 - 1
_MOST_SECONDS_32: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Abi:
    """One way to call the kernel on this machine."""

    audit_arch: int  # AUDIT_ARCH_*, in seccomp_data.arch
    oci_name: str  # in OCI profiles
    bits: int  # of a long
    numbers: dict[str, int]  # call -> number

    def call(self, number: int) -> str | None:
        """The name of a call by its number; None if it is not one of ours."""
        return next((name for name, known in self.numbers.items() if known == number), None)


def _abi(audit_arch: int, name: str, bits: int, sysinfo: int, getaffinity: int) -> Abi:
    return Abi(audit_arch, f"SCMP_ARCH_{name}", bits, {SYSINFO: sysinfo, SCHED_GETAFFINITY: getaffinity})


# By machine, the native interface first. Only machines whose ioctl numbers are the generic ones.
_BY_MACHINE: Final = {
    "x86_64": (_abi(0xC000003E, "X86_64", 64, 99, 204), _abi(0x40000003, "X86", 32, 116, 242)),
    "aarch64": (_abi(0xC00000B7, "AARCH64", 64, 179, 123), _abi(0x40000028, "ARM", 32, 116, 242)),
    "riscv64": (_abi(0xC00000F3, "RISCV64", 64, 179, 123),),
    "s390x": (_abi(0x80000016, "S390X", 64, 116, 240),),
}


def abis(machine: str | None = None) -> Sequence[Abi]:
    """The interfaces of a machine (default: this one); none if it is not supported."""
    return _BY_MACHINE.get(machine or os.uname().machine, ())


@dataclass(frozen=True, slots=True)
class SysInfo:
    """What sysinfo(2) tells, before it is packed; sizes in bytes."""

    uptime_seconds: int
    loads: tuple[int, int, int]  # in 1/65536
    total: int
    free: int
    shared: int
    buffers: int
    swap_total: int
    swap_free: int
    procs: int

    def packed(self, bits: int) -> bytes:
        """The record of a caller whose longs have 64 or 32 bits."""
        return self._packed_64() if bits == 64 else self._packed_32()

    def _packed_64(self) -> bytes:
        procs = min(self.procs, _MOST_PROCS)
        return _RECORD_64.pack(self.uptime_seconds, *self.loads, *self._sizes(), procs, 0, 0, 0, 1)

    def _packed_32(self) -> bytes:
        """Sizes in pages if bytes do not fit, as the kernel does it."""
        unit = mmap.PAGESIZE if max(self.total, self.swap_total) > _MOST_32 else 1
        sizes = (min(size // unit, _MOST_32) for size in self._sizes())
        loads = (min(load, _MOST_32) for load in self.loads)
        uptime, procs = min(self.uptime_seconds, _MOST_SECONDS_32), min(self.procs, _MOST_PROCS)
        return _RECORD_32.pack(uptime, *loads, *sizes, procs, 0, 0, 0, unit)

    def _sizes(self) -> tuple[int, ...]:
        return self.total, self.free, self.shared, self.buffers, self.swap_total, self.swap_free


def unpacked(record: bytes) -> SysInfo:
    """Inverse of `SysInfo.packed`, for either length. Raises ValueError for any other."""
    for layout in (_RECORD_64, _RECORD_32):
        if len(record) == layout.size:
            uptime, one, five, fifteen, *rest = layout.unpack(record)
            *sizes, procs, _pad, _high, _high_free, unit = rest
            total, free, shared, buffers, swap_total, swap_free = (size * unit for size in sizes)
            loads = one, five, fifteen
            return SysInfo(uptime, loads, total, free, shared, buffers, swap_total, swap_free, procs)
    raise ValueError(f"{len(record)} bytes are no record of sysinfo(2)")
