"""/sys/devices/system/cpu/online: the CPUs that the container is shown, numbered as in cpuinfo and stat.

Kernel: drivers/base/cpu.c; a list of ranges, ``0-1``.
"""

from __future__ import annotations

from cgroup_model.parse import format_id_list
from cgroup_model.snapshot import Need, Snapshot

PATH = "sys/devices/system/cpu/online"
NEEDS = Need.CPUS


def render(snapshot: Snapshot) -> bytes:
    """Return ``0-(n-1)``; the machine's list if it is unknown which CPUs are shown."""
    cpus = snapshot.host.online_cpus if snapshot.cpus is None else range(snapshot.cpus.count)
    return format_id_list(cpus).encode() + b"\n"
