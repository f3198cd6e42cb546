"""What we may do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from cgscope.capabilities import held
from cgscope.doctor.finding import Finding, note, ok, problem, unknown
from cgscope.doctor.machine import Machine

TITLE = "privileges"

_LOSSES: Final = {
    "CAP_SYS_ADMIN": "nothing can be mounted, no namespace entered",
    "CAP_SYS_PTRACE": "containers of other users cannot be entered or told apart",
    "CAP_DAC_READ_SEARCH": "names of containers that engines keep in files of mode 0600 stay unknown",
    "CAP_SYS_CHROOT": "no mount namespace can be entered",
    "CAP_SYS_RESOURCE": "the limit of open files cannot be raised",
}
_NEEDED: Final = frozenset({"CAP_SYS_ADMIN", "CAP_SYS_PTRACE"})
_UNSEEN: Final = {
    "CAP_SYS_PTRACE": ("others' processes", "their network counters, open files and I/O are unknown"),
    "CAP_DAC_READ_SEARCH": ("names", "those that engines keep in files of mode 0600 are unknown"),
}


def check(machine: Machine) -> Iterator[Finding]:
    """Look at the user and at capabilities."""
    effective = held(machine.text("proc/self/status"))
    if not machine.is_root:
        advice = "ctop and cgroup-exporter show what you may read; procfs-fuse needs root"
        yield note("user", "not root", advice)
        for name in sorted(_UNSEEN.keys() - effective):
            subject, hidden = _UNSEEN[name]
            yield unknown(subject, f"without {name} {hidden}")
        return
    yield (
        ok("user", "root")
        if _is_machines(machine)
        else note("user", "root of a user namespace", "procfs-fuse needs root of the machine, outside of it")
    )
    for name, loss in _LOSSES.items():
        if name in effective:
            yield ok(name, "held")
        else:
            verdict = problem if name in _NEEDED else note
            yield verdict(name, "not held", loss)


def _is_machines(machine: Machine) -> bool:
    """Whether ids are the machine's own: one line that maps all 32 bits to themselves (user_namespaces(7))."""
    try:
        return machine.text("proc/self/uid_map").split() == ["0", "0", str(0xFFFFFFFF)]
    except FileNotFoundError:  # a kernel without user namespaces
        return True
