"""/proc/sys/kernel/pid_max: as many pids as the container may have tasks, above every pid it has.

Kernel: kernel/pid.c; exclusive, that is, no pid reaches it, and never below 301 (RESERVED_PIDS + 1).

Pids of a namespace go up to the machine's limit whatever the pids controller allows, so this is what a program that
sizes a table wants to know, not a promise; policy ``pid_max = host`` shows the machine's instead.
"""

from __future__ import annotations

from cgroup_model.snapshot import Need, Snapshot

PATH = "proc/sys/kernel/pid_max"
NEEDS = Need.PIDS | Need.TASKS | Need.HOST_LIMITS

_LEAST = 301


def render(snapshot: Snapshot) -> bytes:
    """Return the bound; the machine's if there is no limit or the pids in use are unknown."""
    bounds = [bound for bound in (_bound(snapshot), snapshot.host.pid_max) if bound is not None]
    return b"%d\n" % min(bounds) if bounds else b""


def _bound(snapshot: Snapshot) -> int | None:
    limit = snapshot.pids.effective_max if snapshot.pids is not None else None
    highest = snapshot.tasks.highest_pid if snapshot.tasks is not None else None
    if snapshot.policy.pid_max == "host" or not isinstance(limit, int) or highest is None:
        return None
    return max(limit, highest + 1, _LEAST)
