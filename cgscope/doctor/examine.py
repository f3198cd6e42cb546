"""Running the checks. A check that breaks is a line of the report, not the end of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Protocol

from cgscope.doctor.checks import cgroups, containers, files, fuse, kernel, limits, ports, privileges, proc, software
from cgscope.doctor.finding import Finding, Verdict, unknown
from cgscope.doctor.machine import Machine


class Check(Protocol):
    """A module of `cgscope.doctor.checks`."""

    TITLE: str

    def check(self, machine: Machine) -> Iterator[Finding]:
        """Yield what is found."""


# In the order in which one thing needs the other.
CHECKS: Final[tuple[Check, ...]] = (
    software,
    proc,
    kernel,
    privileges,
    cgroups,
    fuse,
    limits,
    containers,
    files,
    ports,
)


def examine(machine: Machine) -> Iterator[tuple[str, list[Finding]]]:
    """Yield (title, findings) of every check; without /proc, of which all others ask, there are no more."""
    for one in CHECKS:
        findings = list(_guarded(one, machine))
        yield one.TITLE, findings
        if one is proc and any(found.verdict is Verdict.PROBLEM for found in findings):
            return


def _guarded(one: Check, machine: Machine) -> Iterator[Finding]:
    try:
        yield from one.check(machine)
    except Exception as error:  # noqa: BLE001 - the doctor is called when something is wrong, and must not fall ill
        yield unknown(one.TITLE, f"the check itself failed: {type(error).__name__}: {error}", "please report this")
