"""/proc/sys/kernel/threads-max: how many threads the container may have, by its and its ancestors' pids limit.

Kernel: kernel/fork.c (sysctl_max_threads()); threads.
"""

from __future__ import annotations

from cgroup_model.snapshot import Need, Snapshot

PATH = "proc/sys/kernel/threads-max"
NEEDS = Need.PIDS | Need.HOST_LIMITS


def render(snapshot: Snapshot) -> bytes:
    """Return the smaller of limit and machine; at least the one thread that reads."""
    limit = snapshot.pids.effective_max if snapshot.pids is not None else None
    bounds = [bound for bound in (limit, snapshot.host.threads_max) if isinstance(bound, int)]
    return b"%d\n" % max(1, min(bounds)) if bounds else b""
