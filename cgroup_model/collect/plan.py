"""What a snapshot takes, worked out once for each combination of needs: which parts, in which order, read how."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, Protocol

from cgroup_model.collect.look import Look
from cgroup_model.hierarchy import Cgroup
from cgroup_model.snapshot import Cpu, CpuTimes, Load, Need, ShownCpus, Tasks

Step = tuple[str, Callable[[Look, Mapping[str, Any]], object]]
"""A field of `Snapshot`, and how it is read, given what was read before it."""

# Plain numbers: operators of enum.Flag cost more than reading a file does, and `value` is a property in Python.
_MEMORY: Final = (Need.MEMORY | Need.MEMORY_DETAIL).value
_MEMORY_DETAIL: Final = Need.MEMORY_DETAIL.value
_CPU: Final = (Need.CPU | Need.CPU_TIMES | Need.CPU_PER_CPU).value
_CPU_DETAIL: Final = Need.CPU.value
_CPUS: Final = (Need.CPUS | Need.CPU_TIMES).value
_PER_CPU: Final = (Need.CPU_PER_CPU | Need.CPU_TIMES).value
_CPU_TIMES: Final = Need.CPU_TIMES.value
_CPUSET: Final = Need.CPUSET.value
IO: Final = Need.IO.value
_PIDS: Final = Need.PIDS.value
_HUGETLB: Final = Need.HUGETLB.value
SETTINGS: Final = _MEMORY | _CPU | _CPUS | _CPUSET | IO | _PIDS | _HUGETLB
"""Needs for which files are read that only a write changes."""
OF_HISTORY: Final = (Need.AGE | Need.CPU_TIMES | Need.TASKS | Need.LOAD).value
"""Needs that a `History` answers."""

_ALONE: Final = (
    (IO, "io", Look.io),
    (_PIDS, "pids", Look.pids),
    (Need.PRESSURE.value, "pressure", Look.pressure),
    (_HUGETLB, "hugetlb", Look.hugetlb),
    (Need.CORE.value, "core", Look.core),
    (Need.SLABINFO.value, "slabinfo", Look.slabinfo),
)


class History(Protocol):
    """Answers that need more than one look: what accumulates, and what is counted over processes."""

    def cpu_times(self, cgroup: Cgroup, cpu: Cpu | None, shown: ShownCpus) -> CpuTimes | None:
        """Accumulated time of each shown CPU."""

    def age(self, cgroup: Cgroup) -> float | None:
        """Seconds since the container started."""

    def boot_offset(self, cgroup: Cgroup) -> float:
        """How far the container's boot clock is ahead of the machine's; seconds."""

    def tasks(self, cgroup: Cgroup) -> Tasks | None:
        """Thread states of the subtree."""

    def load(self, cgroup: Cgroup) -> Load | None:
        """Load averages."""


def plan(wanted: int, history: History | None, *, throttled_as_steal: bool) -> tuple[Step, ...]:
    """List the steps for a value of `Need`; what needs a ``history`` is left out without one."""
    steps = [*_own(wanted, in_detail=throttled_as_steal or bool(wanted & _CPU_DETAIL))]
    if history is not None:
        steps += _accumulated(wanted, history)
    steps += [(part, partial(_alone, read)) for need, part, read in _ALONE if wanted & need]
    if history is not None:
        if wanted & Need.TASKS.value:
            steps.append(("tasks", lambda look, _: look.attempt("tasks", history.tasks, look.cgroup)))
        if wanted & Need.LOAD.value:
            steps.append(("load", lambda look, _: look.attempt("load", history.load, look.cgroup)))
    return tuple(steps)


def _own(wanted: int, *, in_detail: bool) -> list[Step]:
    steps: list[Step] = []
    if wanted & _MEMORY:
        detail = bool(wanted & _MEMORY_DETAIL)
        steps.append(("memory", lambda look, _: look.memory(detail=detail)))
        steps.append(("memory_bounds", lambda look, parts: look.memory_bounds(parts["memory"], detail=detail)))
    if wanted & _CPU:
        per_cpu = bool(wanted & _PER_CPU)
        steps.append(("cpu", lambda look, _: look.cpu(detail=in_detail, per_cpu=per_cpu)))
    if wanted & _CPUSET:
        steps.append(("cpuset", lambda look, _: look.cpuset()))
    if wanted & _CPUS:
        steps.append(("cpus", lambda look, parts: look.shown_cpus(parts.get("cpu"), parts.get("cpuset"))))
    return steps


def _accumulated(wanted: int, history: History) -> list[Step]:
    steps: list[Step] = []
    if wanted & Need.AGE.value:
        steps.append(("age_seconds", lambda look, _: look.attempt("age", history.age, look.cgroup)))
    if wanted & _CPU_TIMES:
        steps.append(("boot_offset_seconds", lambda look, _: look.attempt("age", history.boot_offset, look.cgroup)))
        steps.append(
            (
                "cpu_times",
                lambda look, parts: look.attempt(
                    "cpu_times", history.cpu_times, look.cgroup, parts["cpu"], parts["cpus"]
                ),
            )
        )
    return steps


def _alone(read: Callable[[Look], object], look: Look, _parts: Mapping[str, Any]) -> object:
    return read(look)
