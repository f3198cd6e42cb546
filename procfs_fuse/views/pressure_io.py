"""/proc/pressure/io: stalls of the container's tasks for block devices. See `_pressure`."""

from __future__ import annotations

from cgroup_model.snapshot import Need, Snapshot
from procfs_fuse.views import _pressure

PATH = "proc/pressure/io"
MODE = 0o644  # whoever may write can keep a thread of the kernel busy
TRIGGERS = "io"
NEEDS = OPTIONAL = Need.PRESSURE


def exists(snapshot: Snapshot) -> bool:
    """Tell whether the kernel accounts it for the container."""
    return snapshot.pressure is not None and _pressure.exists(snapshot.pressure.io)


def render(snapshot: Snapshot) -> bytes:
    """Return the kernel's own text for the container."""
    return b"" if snapshot.pressure is None else _pressure.render(snapshot.pressure.io)
