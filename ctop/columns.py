"""The table of columns: what each is called, what it needs to be read, and where its value comes from.

``field`` is the name in JSON and CSV and has the unit in it; values there are never rounded. Rates need two looks: the
first shows ``-``. Definitions are in ``about`` and printed by ``ctop --list-columns``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, Literal

from cgroup_model.record import dataclass
from cgroup_model.snapshot import Need
from cgscope.errors import UsageError
from cgscope.suggest import did_you_mean
from ctop import values as of
from ctop.format import INHERITED, Value, clean
from ctop.scene import Entry

Kind = Literal["text", "percent", "size", "count", "decimal", "per_second", "duration"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column. ``survey`` names the single number that is enough to sort by it; ``""``: nothing needs to be read."""

    name: str
    field: str
    title: str
    width: int
    kind: Kind
    value: Callable[[Entry], Value]
    about: str
    needs: Need = Need.NOTHING
    survey: str | None = None
    network: bool = False
    inherited: Callable[[Entry], bool] | None = None

    @property
    def is_text(self) -> bool:
        """Text is aligned left and sorted upwards, numbers the other way round."""
        return self.kind == "text"

    def mark(self, entry: Entry) -> str:
        """`INHERITED` where an ancestor sets this limit, else a blank or nothing."""
        if self.inherited is None:
            return ""
        return INHERITED if self.inherited(entry) else " "


# ----------------------------------------------------------------------------------------------- table

_CPU: Final = Need.CPU
_CPUS: Final = Need.CPU | Need.CPUS
_DETAIL: Final = Need.MEMORY | Need.MEMORY_DETAIL
_IO: Final = Need.IO

_TABLE: Final = (
    Column("name", "name", "NAME", 24, "text", of.title, "the engine's name, else the cgroup path", survey=""),
    Column("engine", "engine", "ENGINE", 10, "text", of.text(lambda e: e.identity.engine), "made by", survey=""),
    Column("id", "id", "ID", 12, "text", of.text(lambda e: e.identity.short_id if e.identity.engine else None),
           "the engine's id, shortened", survey=""),
    Column("image", "image", "IMAGE", 20, "text", of.text(lambda e: e.identity.image), "image", survey=""),
    Column("pod", "pod", "POD", 24, "text", of.pod, "Kubernetes namespace/pod", survey=""),
    Column("state", "state", "STATE", 7, "text", of.state,
           "running, frozen, empty (no process), dying (removed, memory still held)", Need.CORE | Need.PIDS),
    Column("cpu", "cpu_core_percent", "CPU%", 6, "percent", of.cpu_percent(lambda _entry: 1.0),
           "CPU time; 100 is one CPU busy all the time", _CPU, survey="cpu"),
    Column("cpu_host", "cpu_host_percent", "CPU%H", 6, "percent", of.cpu_percent(lambda entry: entry.cpus),
           "CPU time; 100 is the whole machine", _CPU, survey="cpu"),
    Column("cpu_limit", "cpu_limit_percent", "CPU%L", 6, "percent", of.cpu_percent(of.cpu_allowance),
           "CPU time; 100 is all that it may use (effective quota, else the CPUs of its cpuset)", _CPUS),
    Column("user", "cpu_user_percent", "USR%", 6, "percent",
           of.rate(lambda r: None if r.user_cores is None else 100 * r.user_cores), "CPU time in user mode", _CPU),
    Column("system", "cpu_system_percent", "SYS%", 6, "percent",
           of.rate(lambda r: None if r.system_cores is None else 100 * r.system_cores), "CPU time in the kernel",
           _CPU),
    Column("throttled", "cpu_throttled_percent", "THR%", 5, "percent",
           of.rate(lambda r: None if r.throttled_ratio is None else 100 * r.throttled_ratio),
           "quota periods in which it had to stop, of all in which it ran", _CPU),
    Column("quota", "cpu_quota_cpus", "QUOTA", 6, "decimal", of.quota, "effective CPU quota; CPUs", _CPUS,
           inherited=of.quota_inherited),
    Column("cpus", "cpu_count", "CPUS", 4, "count", of.cpu_count, "CPUs that programs inside are told of", _CPUS),
    Column("memory", "memory_bytes", "MEM", 6, "size", of.memory_bytes, "memory charged, page cache included",
           Need.MEMORY, survey="memory"),
    Column("working_set", "memory_working_set_bytes", "WSET", 6, "size", of.memory(lambda m: m.working_set),
           "memory without inactive page cache, as docker stats and kubectl top count", Need.MEMORY),
    Column("anon", "memory_anon_bytes", "ANON", 6, "size", of.memory(lambda m: m.stat.anon),
           "memory of programs: heap, stack, anonymous mappings", Need.MEMORY),
    Column("memory_limit", "memory_limit_bytes", "LIMIT", 7, "size", of.memory_limit,
           "effective memory limit: the smallest of its own and all ancestors'; ^ marks an ancestor's", Need.MEMORY,
           inherited=of.memory_inherited),
    Column("memory_percent", "memory_percent", "MEM%", 5, "percent", of.memory_percent,
           "working set of the effective limit (of the machine's memory where there is none)", Need.MEMORY),
    Column("swap", "swap_bytes", "SWAP", 6, "size", of.memory(lambda m: m.swap_current), "swap used", Need.MEMORY),
    Column("dirty", "memory_dirty_bytes", "DIRTY", 6, "size", of.memory(lambda m: m.stat.file_dirty),
           "page cache that is not written yet", Need.MEMORY),
    Column("slab", "memory_slab_bytes", "SLAB", 6, "size", of.memory(lambda m: m.stat.slab), "kernel objects (v2)",
           Need.MEMORY),
    Column("psi_cpu", "pressure_cpu_percent", "PCPU", 5, "percent", of.pressure("cpu"),
           "PSI: time in which some task waited for a CPU, last 10 s", Need.PRESSURE),
    Column("psi_memory", "pressure_memory_percent", "PMEM", 5, "percent", of.pressure("memory"),
           "PSI: time in which some task waited for memory, last 10 s", Need.PRESSURE),
    Column("psi_io", "pressure_io_percent", "PIO", 5, "percent", of.pressure("io"),
           "PSI: time in which some task waited for a device, last 10 s", Need.PRESSURE),
    Column("read", "io_read_bytes_per_second", "READ/s", 6, "size", of.rate(lambda r: r.read_bytes),
           "read from devices", _IO),
    Column("write", "io_write_bytes_per_second", "WRIT/s", 6, "size", of.rate(lambda r: r.write_bytes),
           "written to devices", _IO),
    Column("riops", "io_reads_per_second", "RIO/s", 5, "per_second", of.rate(lambda r: r.read_ios), "reads", _IO),
    Column("wiops", "io_writes_per_second", "WIO/s", 5, "per_second", of.rate(lambda r: r.write_ios), "writes", _IO),
    Column("rx", "network_receive_bytes_per_second", "RX/s", 6, "size", of.rate(lambda r: r.rx_bytes),
           "received by its network namespace, without lo; - in the host's", network=True),
    Column("tx", "network_transmit_bytes_per_second", "TX/s", 6, "size", of.rate(lambda r: r.tx_bytes),
           "sent by its network namespace, without lo; - in the host's", network=True),
    Column("pids", "pids", "PIDS", 5, "count", of.pids_current, "tasks as the pids controller counts them", Need.PIDS,
           survey="pids"),
    Column("pids_limit", "pids_limit", "PLIM", 6, "count", of.pids_limit,
           "effective limit of tasks; ^ marks an ancestor's", Need.PIDS, inherited=of.pids_inherited),
    Column("processes", "processes", "PROC", 5, "count", of.tasks("processes"), "processes in the subtree", Need.TASKS),
    Column("threads", "threads", "THRD", 5, "count", of.tasks("total"), "threads in the subtree", Need.TASKS),
    Column("oom", "oom_kills", "OOM", 4, "count", of.ooms, "processes killed for lack of memory, ever", _DETAIL),
    Column("load", "load_1min", "LOAD", 5, "decimal", of.load,
           "load average of the subtree since ctop looks at it; 1 minute", Need.LOAD | Need.TASKS),
    Column("uptime", "uptime_seconds", "UP", 7, "duration", of.age, "time since its first process started", Need.AGE),
    Column("path", "path", "CGROUP", 40, "text", lambda entry: clean(entry.path), "path of the cgroup", survey=""),
)  # fmt: skip

COLUMNS: Final = {column.name: column for column in _TABLE}
"""All columns by name, in the order in which they are offered."""

DEFAULT: Final = (
    "name", "cpu", "memory", "memory_limit", "memory_percent", "throttled", "pids", "read", "write", "rx", "tx",
    "psi_cpu", "psi_memory", "psi_io", "uptime", "engine", "image",
)  # fmt: skip
"""What is shown when nobody chose; as many as fit, from the left."""

VARIANTS: Final = (("cpu", "cpu_host", "cpu_limit"), ("memory", "working_set", "anon"))
"""Columns that one key exchanges for one another."""


def chosen(names: Iterable[str]) -> tuple[Column, ...]:
    """Find columns by name or field; raises `UsageError`."""
    return tuple(_find(name.strip()) for name in names if name.strip())


def _find(name: str) -> Column:
    if name in COLUMNS:
        return COLUMNS[name]
    for column in _TABLE:
        if column.field == name:
            return column
    raise UsageError(f"there is no column {name!r}", did_you_mean(name, COLUMNS) or "see ctop --list-columns")


def needs_of(columns: Iterable[Column]) -> Need:
    """Everything that has to be read for these columns."""
    needs = Need.NOTHING
    for column in columns:
        needs |= column.needs
    return needs


def next_variant(names: tuple[str, ...], position: int) -> tuple[str, ...]:
    """Exchange a column of `VARIANTS[position]` for the next one, in the same place."""
    ring = VARIANTS[position]
    following = {name: ring[(index + 1) % len(ring)] for index, name in enumerate(ring)}
    present = next((name for name in names if name in following), None)
    return tuple(following[name] if name == present else name for name in names)


def listing() -> Iterator[tuple[str, str, str]]:
    """Yield (name, field, about) of every column."""
    for column in _TABLE:
        yield column.name, column.field, column.about
