"""The machine's own figures, from ``/proc`` and ``/sys``; None where this kernel or our permissions do not say."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import Final

from cgroup_model.host import HostFiles
from cgroup_model.parse import ParseError, pressure
from cgroup_model.snapshot import Need, Pressure, PressureResource

_KIB: Final = 1024
_NEEDS: Final = Need.HOST_MEMINFO | Need.HOST_STAT | Need.HOST_CPUINFO | Need.HOST_LIMITS
_MEMINFO: Final = re.compile(rb"^([A-Za-z_()]+):\s+(\d{1,18}) kB$", re.MULTILINE)
_CPUINFO: Final = re.compile(rb"^(physical id|core id)\s*:\s*(\d{1,9})$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class MachineReading:
    """One look at the machine."""

    cpu_cores: int | None = None
    cpu_physical_cores: int | None = None
    cpu_sockets: int | None = None
    boot_epoch: int | None = None
    memory_bytes: int | None = None
    memory_free_bytes: int | None = None
    memory_available_bytes: int | None = None
    memory_dirty_bytes: int | None = None
    memory_slab_bytes: int | None = None
    swap_bytes: int | None = None
    swap_free_bytes: int | None = None
    threads: int | None = None
    threads_running: int | None = None
    threads_max: int | None = None
    pid_max: int | None = None
    conntrack_entries: int | None = None
    conntrack_max: int | None = None
    file_handles: int | None = None
    file_handles_max: int | None = None
    oom_kills: int | None = None
    pressure: Pressure = field(default_factory=Pressure)


class MachineReader:
    """Reads the machine at each scrape. ``host`` has the descriptors of the files that containers see replaced."""

    def __init__(self, host: HostFiles, proc_root: str = "/proc") -> None:
        self._host = host
        self._proc_root = proc_root

    def read(self) -> MachineReading:
        """Read everything anew."""
        host = self._host.read(_NEEDS)
        memory = {name: int(kib) * _KIB for name, kib in _MEMINFO.findall(host.meminfo or b"")}
        running, threads = self._threads()
        handles = self._words("sys/fs/file-nr")
        cores, sockets = _topology(host.cpuinfo or b"")
        return MachineReading(
            cpu_cores=len(host.online_cpus),
            cpu_physical_cores=cores,
            cpu_sockets=sockets,
            boot_epoch=_keyed(host.stat or b"", b"btime"),
            memory_bytes=memory.get(b"MemTotal"),
            memory_free_bytes=memory.get(b"MemFree"),
            memory_available_bytes=memory.get(b"MemAvailable"),
            memory_dirty_bytes=memory.get(b"Dirty"),
            memory_slab_bytes=memory.get(b"Slab"),
            swap_bytes=memory.get(b"SwapTotal"),
            swap_free_bytes=memory.get(b"SwapFree"),
            threads=threads,
            threads_running=running,
            threads_max=host.threads_max,
            pid_max=host.pid_max,
            conntrack_entries=self._number("sys/net/netfilter/nf_conntrack_count"),
            conntrack_max=self._number("sys/net/netfilter/nf_conntrack_max"),
            file_handles=_in_use(handles),
            file_handles_max=_nth(handles, 2),
            oom_kills=_keyed(self._bytes("vmstat"), b"oom_kill"),
            pressure=Pressure(*(self._pressure(name) for name in ("cpu", "memory", "io", "irq"))),
        )

    def _threads(self) -> tuple[int | None, int | None]:
        """Take threads (running, all) from loadavg's fourth field: no walk over all processes."""
        words = self._words("loadavg")
        running, slash, threads = words[3].partition(b"/") if len(words) > 3 else (b"", b"", b"")
        return (int(running), int(threads)) if slash and running.isdigit() and threads.isdigit() else (None, None)

    def _bytes(self, name: str) -> bytes:
        try:
            with open(os.path.join(self._proc_root, name), "rb", buffering=0) as file:
                return file.readall()
        except OSError:  # not this kernel's, or not for us
            return b""

    def _words(self, name: str) -> list[bytes]:
        return self._bytes(name).split()

    def _number(self, name: str) -> int | None:
        return _nth(self._words(name), 0)

    def _pressure(self, resource: str) -> PressureResource | None:
        try:
            data = self._bytes(f"pressure/{resource}")
            return pressure(data) if data else None
        except ParseError:
            return None


def _nth(words: list[bytes], index: int) -> int | None:
    return int(words[index]) if len(words) > index and words[index].isdigit() else None


def _in_use(handles: list[bytes]) -> int | None:
    """Subtract free handles from allocated ones (Documentation/admin-guide/sysctl/fs.rst, file-nr)."""
    allocated, free = _nth(handles, 0), _nth(handles, 1)
    return None if allocated is None or free is None else allocated - free


def _keyed(data: bytes, key: bytes) -> int | None:
    """Find ``key number`` among lines."""
    found = re.search(rb"^%s (\d{1,20})$" % key, data, re.MULTILINE)
    return int(found[1]) if found else None


def _topology(cpuinfo: bytes) -> tuple[int | None, int | None]:
    """Count physical cores and sockets; None where cpuinfo does not tell (other architectures, some guests)."""
    cores: set[tuple[int, int]] = set()
    socket = 0
    for key, number in _CPUINFO.findall(cpuinfo):
        if key == b"physical id":
            socket = int(number)
        else:
            cores.add((socket, int(number)))
    return (len(cores), len({one for one, _core in cores})) if cores else (None, None)
