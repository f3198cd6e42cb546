"""Where the values of columns come from: functions from an entry to a number, a text, `UNLIMITED` or None. Pure.

What only a whole look knows falls back to the survey's single number where there is one.
"""

from __future__ import annotations

from collections.abc import Callable

from cgroup_model.rates import Rates, oom_kills
from cgroup_model.snapshot import UNLIMITED, Limit, Memory, MemoryBounds, PressureResource, UnlimitedType
from ctop.format import Value, clean
from ctop.scene import Entry

Reader = Callable[[Entry], Value]


def rate(pick: Callable[[Rates], Value]) -> Reader:
    """Make a reader of what two looks tell."""
    return lambda entry: None if entry.rates is None else pick(entry.rates)


def memory(pick: Callable[[Memory], Value]) -> Reader:
    """Make a reader of the memory controller's record."""

    def value(entry: Entry) -> Value:
        snapshot = entry.snapshot
        return None if snapshot is None or snapshot.memory is None else pick(snapshot.memory)

    return value


def cpu_cores(entry: Entry) -> float | None:
    """CPU time per second; from the survey when nothing more was read."""
    if entry.rates is not None and entry.rates.cpu_cores is not None:
        return entry.rates.cpu_cores
    return entry.brief.cpu_cores


def cpu_allowance(entry: Entry) -> float | None:
    """How many CPUs the cgroup may use: its effective quota, else the CPUs of its cpuset."""
    snapshot = entry.snapshot
    if snapshot is None or snapshot.cpus is None:
        return None
    quota = snapshot.cpus.quota_cpus
    usable = len(snapshot.cpus.usable)
    return usable if quota is None or quota is UNLIMITED else min(quota, usable)


def cpu_percent(of: Callable[[Entry], float | None]) -> Reader:
    """Make a reader of CPU time as percent of a number of CPUs."""

    def value(entry: Entry) -> Value:
        cores, whole = cpu_cores(entry), of(entry)
        return None if cores is None or not whole else 100 * cores / whole

    return value


def memory_bytes(entry: Entry) -> int | None:
    """Memory that is charged; from the survey when nothing more was read."""
    snapshot = entry.snapshot
    if snapshot is not None and snapshot.memory is not None:
        return snapshot.memory.current
    return entry.brief.memory_bytes


def _bounds(entry: Entry) -> MemoryBounds | None:
    return None if entry.snapshot is None else entry.snapshot.memory_bounds


def memory_limit(entry: Entry) -> Limit:
    """The effective limit."""
    bounds = _bounds(entry)
    return None if bounds is None else bounds.max


def memory_percent(entry: Entry) -> float | None:
    """Working set of the effective limit, of the machine's memory where there is no limit."""
    snapshot = entry.snapshot
    used = snapshot.memory.working_set if snapshot is not None and snapshot.memory is not None else None
    limit = memory_limit(entry)
    whole = entry.memory_total if limit is UNLIMITED else limit
    return None if used is None or not whole else 100 * used / whole


def memory_inherited(entry: Entry) -> bool:
    """Tell whether an ancestor sets the memory limit."""
    bounds = _bounds(entry)
    return bounds is not None and bounds.max_origin is not None and bounds.max_origin != entry.path


def quota(entry: Entry) -> float | UnlimitedType | None:
    """The effective quota; CPUs."""
    snapshot = entry.snapshot
    return None if snapshot is None or snapshot.cpus is None else snapshot.cpus.quota_cpus


def quota_inherited(entry: Entry) -> bool:
    """Tell whether an ancestor sets the quota."""
    snapshot = entry.snapshot
    origin = None if snapshot is None or snapshot.cpus is None else snapshot.cpus.quota_origin
    return origin is not None and origin != entry.path


def cpu_count(entry: Entry) -> int | None:
    """How many CPUs programs inside are told of."""
    snapshot = entry.snapshot
    return None if snapshot is None or snapshot.cpus is None else snapshot.cpus.count


def io_limit(entry: Entry, name: str) -> float | None:
    """The sum of the devices' limits of one kind, such as ``rbps_max``; None unless every device has one."""
    snapshot = entry.snapshot
    devices = snapshot.io.devices if snapshot is not None and snapshot.io is not None else ()
    limits = [getattr(device, name) for device in devices]
    return float(sum(limits)) if limits and all(isinstance(limit, int) for limit in limits) else None


def pids_current(entry: Entry) -> int | None:
    """Tasks; from the survey when nothing more was read."""
    snapshot = entry.snapshot
    if snapshot is not None and snapshot.pids is not None:
        return snapshot.pids.current
    return entry.brief.pids


def pids_limit(entry: Entry) -> Limit:
    """The effective limit of tasks."""
    snapshot = entry.snapshot
    return None if snapshot is None or snapshot.pids is None else snapshot.pids.effective_max


def pids_inherited(entry: Entry) -> bool:
    """Tell whether an ancestor sets the limit of tasks."""
    snapshot = entry.snapshot
    origin = None if snapshot is None or snapshot.pids is None else snapshot.pids.effective_max_origin
    return origin is not None and origin != entry.path


def tasks(name: str) -> Reader:
    """Make a reader of one count of tasks."""

    def value(entry: Entry) -> Value:
        snapshot = entry.snapshot
        counted: Value = None if snapshot is None or snapshot.tasks is None else getattr(snapshot.tasks, name)
        return counted

    return value


def pressure(resource: str, line: str = "some") -> Reader:
    """Make the reader of one PSI average: percent of the last 10 seconds in which tasks waited."""

    def value(entry: Entry) -> Value:
        snapshot = entry.snapshot
        if snapshot is None or snapshot.pressure is None:
            return None
        found: PressureResource | None = getattr(snapshot.pressure, resource)
        averages = None if found is None else getattr(found, line)
        return None if averages is None else float(averages.avg10)

    return value


def state(entry: Entry) -> str | None:
    """``running``, ``frozen``, ``empty`` (nobody inside) or ``dying`` (removed cgroups still hold memory)."""
    snapshot = entry.snapshot
    core = None if snapshot is None else snapshot.core
    if core is not None and core.frozen:
        return "frozen"
    populated = core.populated if core is not None else None
    if populated is None and (tasks := pids_current(entry)) is not None:
        populated = tasks > 0
    if populated is False:
        return "dying" if core is not None and core.nr_dying_descendants else "empty"
    return None if populated is None else "running"


def ooms(entry: Entry) -> Value:
    """Processes killed for lack of memory."""
    return None if entry.snapshot is None else oom_kills(entry.snapshot)


def load(entry: Entry) -> Value:
    """Load average of the last minute."""
    load = None if entry.snapshot is None else entry.snapshot.load
    return None if load is None else load.one


def age(entry: Entry) -> Value:
    """Seconds since the first process started."""
    return None if entry.snapshot is None else entry.snapshot.age_seconds


def pod(entry: Entry) -> Value:
    """Kubernetes namespace and pod."""
    names = [part for part in (entry.identity.namespace, entry.identity.pod) if part]
    return clean("/".join(names)) if names else None


def text(pick: Callable[[Entry], str | None]) -> Reader:
    """Make a reader of a stranger's text."""

    def value(entry: Entry) -> Value:
        found = pick(entry)
        return clean(found) if found else None

    return value


def title(entry: Entry) -> str:
    """What the cgroup is called: the engine's name for it, else its path."""
    return clean(entry.identity.title if entry.identity.engine else entry.path)
