"""What a container's control files say about each line of its virtual files: cgroup v2, read plainly, nothing of ours.

A truth is what the kernel says for this container, in the unit of the virtual file. The formulas are those of
docs/files.md, for a container whose own limits are the tightest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SECTOR: Final = 512
TICK_USEC: Final = 10_000  # USER_HZ is 100 on every architecture that Debian has
PAGE: Final = 4096


@dataclass(frozen=True, slots=True)
class Truth:
    """One line: in which virtual file it is, what it is called, what it says, and which control files say so."""

    file: str
    line: str
    value: str
    source: str


class Control:
    """The control files of one cgroup that is frozen, so that they hold still."""

    def __init__(self, directory: Path) -> None:
        """Read every file when it is first asked for."""
        self.directory = directory

    def text(self, name: str) -> str:
        """Return a file's content."""
        return self.directory.joinpath(name).read_text()

    def number(self, name: str) -> int:
        """Return the number in a file."""
        return int(self.text(name))

    def keyed(self, name: str) -> Mapping[str, int]:
        """Return a file of lines `key value`."""
        return {key: int(value) for key, value in map(str.split, self.text(name).splitlines())}

    def device(self, number: str) -> Mapping[str, int]:
        """Return a device's counters of io.stat."""
        lines = [line.split()[1:] for line in self.text("io.stat").splitlines() if line.startswith(f"{number} ")]
        return {key: int(value) for line in lines for key, value in (word.split("=") for word in line)}


def truths(control: Control, machine: Mapping[str, int], device: str, disk: str) -> Iterator[Truth]:
    """Yield all lines; ``machine`` is the machine's meminfo in kB, ``device`` is `major:minor` of ``disk``."""
    yield from _meminfo(control, machine)
    yield from _swaps(control, machine)
    yield from _cpu(control)
    yield from _tasks(control)
    yield from _disk(control, device, disk)
    yield from _vmstat(control)
    for resource in ("cpu", "memory", "io"):
        for line in control.text(f"{resource}.pressure").splitlines():
            kind, *_, total = line.split()
            yield Truth(f"proc/pressure/{resource}", f"{kind} total", total.partition("=")[2], f"{resource}.pressure")


_STAT: Final = {
    "Cached": "file",
    "SwapCached": "swapcached",
    "Active(anon)": "active_anon",
    "Inactive(anon)": "inactive_anon",
    "Active(file)": "active_file",
    "Inactive(file)": "inactive_file",
    "Unevictable": "unevictable",
    "Zswap": "zswap",
    "Zswapped": "zswapped",
    "Dirty": "file_dirty",
    "Writeback": "file_writeback",
    "AnonPages": "anon",
    "Mapped": "file_mapped",
    "Shmem": "shmem",
    "KReclaimable": "slab_reclaimable",
    "SReclaimable": "slab_reclaimable",
    "SUnreclaim": "slab_unreclaimable",
    "KernelStack": "kernel_stack",
    "PageTables": "pagetables",
    "Percpu": "percpu",
    "VmallocUsed": "vmalloc",
}
"""Line of meminfo -> word of memory.stat."""


def _meminfo(control: Control, machine: Mapping[str, int]) -> Iterator[Truth]:
    stat, current, most = control.keyed("memory.stat"), control.number("memory.current"), control.number("memory.max")
    reclaimable = stat["active_file"] + stat["inactive_file"] + stat["slab_reclaimable"]
    available = min(most - current + reclaimable, machine["MemAvailable"] * 1024)
    swap_used, swap_total = control.number("memory.swap.current"), _swap_bytes(control, machine)
    sums: Mapping[str, tuple[int, str]] = {
        "MemTotal": (most, "memory.max"),
        "MemFree": (min(most - current, available - reclaimable), "memory.max - memory.current"),
        "MemAvailable": (available, "memory.max - memory.current + file lists and slab_reclaimable of memory.stat"),
        "Active": (stat["active_anon"] + stat["active_file"], "memory.stat active_anon + active_file"),
        "Inactive": (stat["inactive_anon"] + stat["inactive_file"], "memory.stat inactive_anon + inactive_file"),
        "SwapTotal": (swap_total, "memory.swap.max"),
        "SwapFree": (swap_total - swap_used, "memory.swap.max - memory.swap.current"),
    }
    plain = {line: (stat[word], f"memory.stat {word}") for line, word in _STAT.items() if word in stat}
    for line, (value, source) in {**sums, **plain}.items():
        if line in machine:
            yield Truth("proc/meminfo", line, str(value // 1024), source)


def _swap_bytes(control: Control, machine: Mapping[str, int]) -> int:
    return min(control.number("memory.swap.max"), machine["SwapTotal"] * 1024)


def _swaps(control: Control, machine: Mapping[str, int]) -> Iterator[Truth]:
    total, used = _swap_bytes(control, machine), control.number("memory.swap.current")
    yield Truth("proc/swaps", "Size", str(total // 1024), "memory.swap.max")
    yield Truth("proc/swaps", "Used", str(used // 1024), "memory.swap.current")


def _cpu(control: Control) -> Iterator[Truth]:
    stat = control.keyed("cpu.stat")
    quota, period = map(int, control.text("cpu.max").split())
    cpus = min(-(-quota // period), _length(control.text("cpuset.cpus.effective")))
    shown = "0" if cpus == 1 else f"0-{cpus - 1}"
    sources = "cpu.max, cpuset.cpus.effective"
    yield Truth("proc/stat", "user", str(stat["user_usec"] // TICK_USEC), "cpu.stat user_usec")
    yield Truth("proc/stat", "system", str(stat["system_usec"] // TICK_USEC), "cpu.stat system_usec")
    yield Truth("proc/stat", "CPU lines", str(cpus), sources)
    yield Truth("proc/cpuinfo", "processors", str(cpus), sources)
    for name in ("online", "possible", "present"):
        yield Truth(f"sys/devices/system/cpu/{name}", "content", shown, sources)


def _length(cpus: str) -> int:
    ranges = (part.split("-") for part in cpus.strip().split(","))
    return sum(int(ends[-1]) - int(ends[0]) + 1 for ends in ranges)


def _tasks(control: Control) -> Iterator[Truth]:
    threads = len(control.text("cgroup.threads").split())
    yield Truth("proc/loadavg", "threads", str(threads), "cgroup.threads")
    yield Truth("proc/sys/kernel/threads-max", "content", str(control.number("pids.max")), "pids.max")


_COLUMNS: Final[Mapping[str, Callable[[Mapping[str, int]], int]]] = {
    "reads": lambda io: io["rios"],
    "sectors read": lambda io: io["rbytes"] // SECTOR,
    "writes": lambda io: io["wios"],
    "sectors written": lambda io: io["wbytes"] // SECTOR,
}


def _disk(control: Control, device: str, disk: str) -> Iterator[Truth]:
    io = control.device(device)
    numbers = {line.split()[0] for line in control.text("io.stat").splitlines() if "rbytes" in line}
    names = sorted(Path(f"/sys/dev/block/{number}").resolve().name for number in numbers)
    yield Truth("proc/diskstats", "devices", " ".join(names), "io.stat")
    for line, of in _COLUMNS.items():
        yield Truth("proc/diskstats", f"{disk} {line}", str(of(io)), "io.stat")


def _vmstat(control: Control) -> Iterator[Truth]:
    stat = control.keyed("memory.stat")
    for line in ("pgfault", "pgmajfault", "pswpin", "pswpout"):
        if line in stat:
            yield Truth("proc/vmstat", line, str(stat[line]), f"memory.stat {line}")
    yield Truth("proc/vmstat", "nr_anon_pages", str(stat["anon"] // PAGE), "memory.stat anon")
    yield Truth("proc/vmstat", "oom_kill", str(control.keyed("memory.events")["oom_kill"]), "memory.events oom_kill")


def lines_of(file: str, text: str, disk: str) -> Mapping[str, str]:
    """Read the same lines from a virtual file; a line that it does not have is missing."""
    read = _READERS.get(file) or _READERS.get(file.rpartition("/")[0]) or _whole
    return read(text, disk)


def _whole(text: str, _disk: str) -> Mapping[str, str]:
    return {"content": text.strip()}


def _pairs(text: str, _disk: str) -> Mapping[str, str]:
    pairs = (line.split()[:2] for line in text.splitlines())
    return {name.rstrip(":"): value for name, value in pairs}


def _swap_areas(text: str, _disk: str) -> Mapping[str, str]:
    areas = text.splitlines()[1:]
    return dict(zip(("Size", "Used"), areas[0].split()[2:4] if areas else ("0", "0"), strict=True))


def _cpu_lines(text: str, _disk: str) -> Mapping[str, str]:
    lines = [line.split() for line in text.splitlines() if line.startswith("cpu")]
    return {"user": lines[0][1], "system": lines[0][3], "CPU lines": str(len(lines) - 1)}


def _processors(text: str, _disk: str) -> Mapping[str, str]:
    return {"processors": str(sum(line.startswith("processor") for line in text.splitlines()))}


def _load(text: str, _disk: str) -> Mapping[str, str]:
    return {"threads": text.split()[3].partition("/")[2]}


def _stalls(text: str, _disk: str) -> Mapping[str, str]:
    return {f"{line.split()[0]} total": line.rpartition("=")[2] for line in text.splitlines()}


def _diskstats(text: str, disk: str) -> Mapping[str, str]:
    rows = {fields[2]: fields for fields in map(str.split, text.splitlines())}
    found = {"devices": " ".join(sorted(rows))}
    if disk in rows:
        picked = (rows[disk][index] for index in (3, 5, 7, 9))
        found |= dict(zip((f"{disk} {line}" for line in _COLUMNS), picked, strict=True))
    return found


_READERS: Final[Mapping[str, Callable[[str, str], Mapping[str, str]]]] = {
    "proc/meminfo": _pairs,
    "proc/vmstat": _pairs,
    "proc/swaps": _swap_areas,
    "proc/stat": _cpu_lines,
    "proc/cpuinfo": _processors,
    "proc/loadavg": _load,
    "proc/diskstats": _diskstats,
    "proc/pressure": _stalls,
}
"""Virtual file, or its folder -> what reads it."""
