"""The cgroup world."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from cgroup_model.dialects import dialect_for
from cgroup_model.mounts import Hierarchy, OutOfSight
from cgroup_model.source import Missing, Source
from cgscope.doctor.finding import Finding, note, ok, problem, unknown
from cgscope.doctor.machine import Machine

TITLE = "cgroups"

# What is lost without each controller.
_CONTROLLERS: Final = {
    "memory": "free shows the machine; boot with cgroup_enable=memory",
    "cpu": "the CPU count shows the machine",
    "cpuset": "CPUs that a container may not use are counted",
    "io": "diskstats and iostat are empty",
    "pids": "pid_max and threads-max show the machine",
}


def check(machine: Machine) -> Iterator[Finding]:
    """Look at mounts and controllers."""
    try:
        mounts, primary = machine.mounts, machine.mounts.primary
    except OutOfSight as error:
        yield problem("cgroup mounts", str(error), "in a container, mount the host's /sys/fs/cgroup read-only")
        return
    yield ok("world", f"{mounts.world}, containers are told apart by {_described(primary)}")
    for name, loss in _CONTROLLERS.items():
        hierarchy = mounts.for_controller(name)
        yield ok(name, f"v{hierarchy.version}") if hierarchy else note(name, "missing", loss)
    yield from _uncounted(mounts.for_controller("io"))
    count = sum(1 for _ in machine.tree.walk())
    yield ok("cgroups in sight", str(count))


def _uncounted(io: Hierarchy | None) -> Iterator[Finding]:
    """Say when nobody has switched on what counts I/O of cgroup v1, on Linux 6.10 and newer."""
    if io is None:
        return
    try:
        dialect_for(io).io_sources(Source(), io.mountpoint)
    except Missing as error:
        advice = "the first limit of a disk in any cgroup switches it on, however high: docs/troubleshooting.md"
        yield note("block I/O", f"no disk is counted in {error.name}", advice)
    except OSError as error:
        yield unknown("block I/O", str(error))


def _described(hierarchy: Hierarchy) -> str:
    controllers = ",".join(sorted(hierarchy.controllers))
    return f"v{hierarchy.version} {controllers}".rstrip()
