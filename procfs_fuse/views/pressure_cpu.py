"""/proc/pressure/cpu: stalls of the container's tasks for CPU time, waiting for quota included. See `_pressure`."""

from __future__ import annotations

from cgroup_model.snapshot import Need, Snapshot
from procfs_fuse.views import _pressure

PATH = "proc/pressure/cpu"
MODE = 0o644  # whoever may write can keep a thread of the kernel busy
TRIGGERS = "cpu"
NEEDS = OPTIONAL = Need.PRESSURE


def exists(snapshot: Snapshot) -> bool:
    """Tell whether the kernel accounts it for the container."""
    return snapshot.pressure is not None and _pressure.exists(snapshot.pressure.cpu)


def render(snapshot: Snapshot) -> bytes:
    """Return the kernel's own text for the container."""
    return b"" if snapshot.pressure is None else _pressure.render(snapshot.pressure.cpu)
