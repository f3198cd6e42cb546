"""A time namespace in which the container booted when it started.

Start times in ``/proc/PID/stat`` are counted from the machine's boot, and `ps` subtracts them from ``/proc/uptime``.
With the container's age there and the machine's start times here, elapsed times would be nonsense; in a time namespace
the kernel counts both from the same moment. See time_namespaces(7).
"""

from __future__ import annotations

import contextlib
import time

from procfs_fuse import syscalls


def start_at_zero() -> None:
    """Give our next children a time namespace whose boot clock begins now; nothing where the kernel cannot."""
    with contextlib.suppress(OSError):  # before Linux 5.6, or configured without
        syscalls.unshare(syscalls.CLONE_NEWTIME)
        age = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        seconds, nanoseconds = divmod(-age, 1_000_000_000)
        with open("/proc/self/timens_offsets", "w", encoding="ascii") as offsets:
            offsets.write(f"boottime {seconds} {nanoseconds}\n")
