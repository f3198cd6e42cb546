"""What we may do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from cgscope.doctor.finding import Finding, note, ok, problem
from cgscope.doctor.machine import Machine

TITLE = "privileges"

# Bits of include/uapi/linux/capability.h, and what is lost without each.
_WANTED: Final = {
    "CAP_SYS_ADMIN": (21, "nothing can be mounted, no namespace entered"),
    "CAP_SYS_PTRACE": (19, "containers of other users cannot be entered or told apart"),
    "CAP_DAC_READ_SEARCH": (2, "names of containers that engines keep in files of mode 0600 stay unknown"),
    "CAP_SYS_CHROOT": (18, "no mount namespace can be entered"),
    "CAP_SYS_RESOURCE": (24, "the limit of open files cannot be raised"),
}
_NEEDED: Final = frozenset({"CAP_SYS_ADMIN", "CAP_SYS_PTRACE"})


def check(machine: Machine) -> Iterator[Finding]:
    """Look at the user and at capabilities."""
    if not machine.is_root:
        advice = "ctop and cgroup-exporter show what you may read; procfs-fuse needs root"
        yield note("user", "not root", advice)
        return
    yield ok("user", "root")
    effective = _effective(machine.text("proc/self/status"))
    for name, (bit, loss) in _WANTED.items():
        if effective >> bit & 1:
            yield ok(name, "held")
        else:
            verdict = problem if name in _NEEDED else note
            yield verdict(name, "not held", loss)


def _effective(status: str) -> int:
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return int(fields["CapEff"], 16)
