"""/sys/devices/system/cpu: a folder for each CPU that the container is shown, consistent with cpuinfo.

Kernel: drivers/base/{cpu,topology,cacheinfo}.c, drivers/cpufreq/cpufreq.c.

    cpu0/topology/core_id          0
    cpu0/topology/core_siblings    3
    cpu0/cache/index3/size         32768K

The machine's files stay, as far as this table knows them. Where a CPU is follows the rule of cpuinfo: the n shown CPUs
are the n cores of one socket with one thread each. Caches are the machine's, shared among those of their CPUs that are
shown. Nothing here can be written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from cgroup_model.snapshot import Need, Snapshot, SysFiles
from procfs_fuse.views import View
from procfs_fuse.views._cpu_numbers import as_list, as_mask, renumbered, shown

PATH = "sys/devices/system/cpu"
NEEDS = Need.CPUS | Need.HOST_CPU_FILES

_MACHINES = re.compile(r"kernel_max|modalias|uevent|vulnerabilities/\w+")
_FIXED = {"offline": b"\n", "isolated": b"\n", "smt/active": b"0\n", "smt/control": b"notsupported\n"}
_FIRST = frozenset({"physical_package_id", "die_id", "book_id", "drawer_id"})
_OWN_NUMBER = frozenset({"core_id", "cluster_id"})
_ALL = ("core_siblings", "package_cpus", "die_cpus", "book_siblings", "drawer_siblings")
_ALONE = ("thread_siblings", "core_cpus", "cluster_cpus")
_CACHE = frozenset(
    (
        "coherency_line_size",
        "id",
        "level",
        "number_of_sets",
        "physical_line_partition",
        "size",
        "type",
        "ways_of_associativity",
    )
)
_MHZ = re.compile(rb"^processor\s*: (\d+)$|^cpu MHz\s*: (\d+)\.(\d{3})$", re.MULTILINE)


class Key(NamedTuple):
    """What the folder depends on."""

    physical: tuple[int, ...]
    machine: SysFiles | None


def key(snapshot: Snapshot) -> Key:
    """Return what decides which files there are, and most of their content."""
    return Key(shown(snapshot), snapshot.host.cpu_files)


def leaves(key: Key) -> Iterator[View]:
    """Yield every file below the folder but those that are views of their own."""
    machine = {} if key.machine is None else key.machine.files
    for path, content in machine.items():
        if path in _FIXED:
            yield _constant(path, _FIXED[path])
        elif _MACHINES.fullmatch(path):
            yield _constant(path, content)
    by_cpu = _by_cpu(machine)
    for number, physical in enumerate(key.physical):
        for path, content in by_cpu.get(physical, {}).items():
            own = _content(path, content, number, key.physical, by_cpu[physical])
            if own is not None:
                yield _constant(f"cpu{number}/{path}", own)
            elif path == "cpufreq/scaling_cur_freq":
                yield View(f"{PATH}/cpu{number}/{path}", Need.HOST_CPUINFO, _frequency(physical, content))


def _by_cpu(machine: Mapping[str, bytes]) -> dict[int, dict[str, bytes]]:
    folders: dict[int, dict[str, bytes]] = {}
    for path, content in machine.items():
        name, _, rest = path.partition("/")
        if rest and name[:3] == "cpu" and name[3:].isdecimal():
            folders.setdefault(int(name[3:]), {})[rest] = content
    return folders


def _content(
    path: str, machines: bytes, number: int, physical: tuple[int, ...], folder: Mapping[str, bytes]
) -> bytes | None:
    """Return what a file of a CPU's folder says; None for one that is not shown."""
    folder_name, _, name = path.rpartition("/")
    if folder_name == "topology":
        return _topology(name, number, len(physical))
    if folder_name.startswith("cache/"):
        if name in {"shared_cpu_list", "shared_cpu_map"}:
            sharing = renumbered(folder.get(f"{folder_name}/shared_cpu_list", b""), physical) or (number,)
            return as_list(sharing) if name == "shared_cpu_list" else as_mask(sharing, len(physical))
        return machines if name in _CACHE else None
    if folder_name == "cpufreq":
        if name in {"affected_cpus", "related_cpus"}:
            return b"%d\n" % number
        return machines if name != "scaling_cur_freq" and name.startswith(("cpuinfo_", "scaling_")) else None
    return b"1\n" if path == "online" else None


def _topology(name: str, number: int, count: int) -> bytes | None:
    if name in _FIRST or name in _OWN_NUMBER:
        return b"%d\n" % (0 if name in _FIRST else number)
    base = name.removesuffix("_list")
    if base not in _ALL and base not in _ALONE:
        return None
    cpus = range(count) if base in _ALL else (number,)
    return as_mask(cpus, count) if base == name else as_list(cpus)


def _constant(path: str, content: bytes) -> View:
    return View(f"{PATH}/{path}", Need.NOTHING, lambda _snapshot: content)


def _frequency(physical: int, before: bytes) -> Callable[[Snapshot], bytes]:
    """Follow the clock that cpuinfo shows, where it shows one; kHz."""

    def render(snapshot: Snapshot) -> bytes:
        processor = -1
        for number, mega, kilo in _MHZ.findall(snapshot.host.cpuinfo or b""):
            if number:
                processor = int(number)
            elif processor == physical:
                return b"%d\n" % int(mega + kilo)
        return before

    return render
