"""The machine as a whole, for the head of a monitor: CPU, memory, swap, load, tasks, pressure.

Sources: ``/proc/stat`` (``cpu  user nice system idle iowait irq softirq steal guest guest_nice``, in USER_HZ),
``/proc/meminfo``, ``/proc/loadavg`` (``0.20 0.18 0.12 1/80 11206``) and ``/proc/pressure/*``; proc(5).
"""

from __future__ import annotations

from dataclasses import field
from typing import Final

from cgroup_model.host import HostFiles
from cgroup_model.parse import ParseError, integer, pressure
from cgroup_model.record import dataclass
from cgroup_model.snapshot import Load, Need, Pressure, PressureResource

_IDLE_FIELDS: Final = (3, 4)  # idle, iowait
_GUEST_FIELDS: Final = 8  # guest and guest_nice are counted in user and nice already
_KIB: Final = 1024


@dataclass(frozen=True, slots=True)
class Machine:
    """What is known about the whole machine at one moment; bytes."""

    cpus: int = 1
    cpu_ticks: tuple[int, int] | None = None  # (busy, all) since boot, over all CPUs
    memory_total: int | None = None
    memory_available: int | None = None
    swap_total: int | None = None
    swap_free: int | None = None
    load: Load | None = None
    tasks_running: int | None = None
    tasks: int | None = None
    pressure: Pressure = field(default_factory=Pressure)


def busy_ratio(before: Machine | None, after: Machine) -> float | None:
    """Share of all CPUs' time that was not idle between two looks; None when unknown."""
    if before is None or before.cpu_ticks is None or after.cpu_ticks is None:
        return None
    busy, whole = (new - old for old, new in zip(before.cpu_ticks, after.cpu_ticks, strict=True))
    return min(1.0, busy / whole) if whole > 0 and busy >= 0 else None


class MachineFiles:
    """Reads a `Machine`; what cannot be read is None."""

    def __init__(self, host: HostFiles, proc_root: str = "/proc") -> None:
        self._host = host
        self._proc_root = proc_root

    def read(self) -> Machine:
        """Read everything as it is now."""
        host = self._host.read(Need.HOST_MEMINFO | Need.HOST_STAT)
        memory = _memory(host.meminfo or b"")
        load, running, tasks = _loadavg(self._file("loadavg"))
        return Machine(
            cpus=len(host.online_cpus),
            cpu_ticks=_ticks(host.stat or b""),
            memory_total=memory.get(b"MemTotal"),
            memory_available=memory.get(b"MemAvailable", memory.get(b"MemFree")),
            swap_total=memory.get(b"SwapTotal"),
            swap_free=memory.get(b"SwapFree"),
            load=load,
            tasks_running=running,
            tasks=tasks,
            pressure=Pressure(*(self._pressure(name) for name in ("cpu", "memory", "io"))),
        )

    def _pressure(self, resource: str) -> PressureResource | None:
        try:
            return pressure(data) if (data := self._file(f"pressure/{resource}")) else None
        except ParseError:
            return None

    def _file(self, name: str) -> bytes:
        """Read a file; empty when there is none (PSI may be off, or not ours to read)."""
        try:
            with open(f"{self._proc_root}/{name}", "rb", buffering=0) as file:
                return file.read()
        except OSError:
            return b""


def _ticks(stat: bytes) -> tuple[int, int] | None:
    fields = stat.partition(b"\n")[0].split()
    if len(fields) < 5 or fields[0] != b"cpu":
        return None
    try:
        ticks = [integer(field) for field in fields[1 : 1 + _GUEST_FIELDS]]
    except ParseError:
        return None
    whole = sum(ticks)
    return whole - sum(ticks[field] for field in _IDLE_FIELDS), whole


def _memory(meminfo: bytes) -> dict[bytes, int]:
    found = {}
    for line in meminfo.splitlines():
        name, _, rest = line.partition(b":")
        value = rest.split()
        if value and value[0].isdigit():
            found[name] = int(value[0]) * _KIB
    return found


def _loadavg(data: bytes) -> tuple[Load | None, int | None, int | None]:
    fields = data.split()
    try:
        one, five, fifteen = (float(field) for field in fields[:3])
        running, _, tasks = fields[3].partition(b"/")
        return Load(one, five, fifteen), integer(running), integer(tasks)
    except (ValueError, IndexError):
        return None, None, None
