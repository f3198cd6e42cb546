"""Scenes of machines that nobody here has: a recorded one whose CPUs are repeated."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tests.scenes.archive import Entry, load
from tests.scenes.places import FILES, FIXTURES

THREADS_OF_A_CORE: Final = 2


@dataclass(frozen=True, slots=True)
class Enlarged:
    """A scene made of another one. ``sockets`` is also the number of memory nodes."""

    text: str
    source: str
    cpus: int
    sockets: int


ENLARGED: Final[Mapping[str, Enlarged]] = {
    "v2-128-cpus": Enlarged(
        "The containers of v2-docker on a machine of 128 CPUs: two sockets of 32 cores of two threads, a node each; "
        "their quotas are half a CPU, one CPU and none, the first one's cpuset is CPU 70 and the second one's 62-65",
        "v2-docker",
        cpus=128,
        sockets=2,
    )
}
_CPUSETS: Final = {"docker/0101": "70", "shop": "62-65"}
"""Beginnings of paths of cgroups -> their cpuset; others have all CPUs."""


def enlarged(name: str) -> dict[str, Entry]:
    """Return the files of an enlarged scene."""
    to = ENLARGED[name]
    entries = load(FIXTURES.joinpath(to.source, FILES).read_bytes())
    entries = {path: entry for path, entry in entries.items() if not path.startswith("sys/devices/system/")}
    entries["proc/cpuinfo"] = _cpuinfo(_content(entries, "proc/cpuinfo"), to)
    entries["proc/stat"] = _stat(_content(entries, "proc/stat"), to.cpus)
    for path in entries:
        if path.endswith(("/cpuset.cpus.effective", "/cpuset.cpus")):
            entries[path] = _cpuset(path, to.cpus)
        elif path.endswith("/cpuset.mems.effective"):
            entries[path] = b"0-%d\n" % (to.sockets - 1)
    return entries | _cpu_files(to) | _node_files(_content(entries, "proc/meminfo"), to)


def _content(entries: Mapping[str, Entry], path: str) -> bytes:
    entry = entries[path]
    assert isinstance(entry, bytes)
    return entry


def _cpuinfo(text: bytes, to: Enlarged) -> bytes:
    stanza = text.split(b"\n\n")[0] + b"\n"
    each = to.cpus // to.sockets
    stanzas = []
    for cpu in range(to.cpus):
        values = {
            b"processor": cpu,
            b"physical id": cpu // each,
            b"siblings": each,
            b"core id": cpu % each // THREADS_OF_A_CORE,
            b"cpu cores": each // THREADS_OF_A_CORE,
        }
        own = stanza
        for key, value in values.items():
            own = re.sub(rb"(?m)^(" + key + rb"\s*: ).*$", rb"\g<1>%d" % value, own)
        stanzas.append(own)
    return b"\n".join(stanzas) + b"\n"


def _stat(text: bytes, cpus: int) -> bytes:
    lines = text.splitlines(keepends=True)
    own = next(line for line in lines if line.startswith(b"cpu0 "))
    times = own.split()[1:]
    total = b"cpu  " + b" ".join(b"%d" % (int(value) * cpus) for value in times) + b"\n"
    each = [b"cpu%d %s\n" % (cpu, b" ".join(times)) for cpu in range(cpus)]
    return total + b"".join(each) + b"".join(line for line in lines if not line.startswith(b"cpu"))


def _cpuset(path: str, cpus: int) -> bytes:
    below = path.removeprefix("sys/fs/cgroup/")
    own = next((value for start, value in _CPUSETS.items() if below.startswith(start)), None)
    inherited = "" if path.endswith("cpuset.cpus") else f"0-{cpus - 1}"
    return (own or inherited).encode() + b"\n"


def _cpu_files(to: Enlarged) -> dict[str, Entry]:
    each = to.cpus // to.sockets
    everything = f"0-{to.cpus - 1}"
    found = {"online": everything, "possible": everything, "present": everything, "offline": "", "isolated": ""}
    found |= {"kernel_max": "8191", "smt/active": "1", "smt/control": "on"}
    for cpu in range(to.cpus):
        core, socket = cpu // THREADS_OF_A_CORE * THREADS_OF_A_CORE, cpu // each * each
        threads, package = f"{core}-{core + THREADS_OF_A_CORE - 1}", f"{socket}-{socket + each - 1}"
        found |= {
            f"cpu{cpu}/topology/core_id": f"{cpu % each // THREADS_OF_A_CORE}",
            f"cpu{cpu}/topology/physical_package_id": f"{cpu // each}",
            f"cpu{cpu}/topology/thread_siblings_list": threads,
            f"cpu{cpu}/topology/thread_siblings": _mask(core, THREADS_OF_A_CORE, to.cpus),
            f"cpu{cpu}/topology/core_cpus_list": threads,
            f"cpu{cpu}/topology/core_siblings_list": package,
            f"cpu{cpu}/topology/core_siblings": _mask(socket, each, to.cpus),
            f"cpu{cpu}/topology/package_cpus_list": package,
        }
        for index, (level, kind, size, shared) in enumerate(
            (
                (1, "Data", "32K", threads),
                (1, "Instruction", "32K", threads),
                (2, "Unified", "1024K", threads),
                (3, "Unified", "32768K", package),
            )
        ):
            cache = f"cpu{cpu}/cache/index{index}"
            found |= {f"{cache}/level": f"{level}", f"{cache}/type": kind, f"{cache}/size": size}
            found[f"{cache}/shared_cpu_list"] = shared
    return {f"sys/devices/system/cpu/{path}": f"{text}\n".encode() for path, text in found.items()}


def _node_files(meminfo: bytes, to: Enlarged) -> dict[str, Entry]:
    each = to.cpus // to.sockets
    nodes = f"0-{to.sockets - 1}\n".encode()
    found: dict[str, bytes] = dict.fromkeys(("online", "possible", "has_cpu", "has_memory", "has_normal_memory"), nodes)
    for node in range(to.sockets):
        lines = [_share(line, to.sockets) for line in meminfo.splitlines() if not line.startswith((b"Vm", b"Commit"))]
        found[f"node{node}/meminfo"] = b"".join(b"Node %d %s\n" % (node, line) for line in lines)
        found[f"node{node}/cpulist"] = f"{node * each}-{node * each + each - 1}\n".encode()
        found[f"node{node}/cpumap"] = f"{_mask(node * each, each, to.cpus)}\n".encode()
        distances = ("10" if other == node else "21" for other in range(to.sockets))
        found[f"node{node}/distance"] = f"{' '.join(distances)}\n".encode()
        found[f"node{node}/numastat"] = b"numa_hit 5\nnuma_miss 7\n"
    return {f"sys/devices/system/node/{path}": content for path, content in found.items()}


def _share(line: bytes, nodes: int) -> bytes:
    return re.sub(rb"\d+(?= kB)", lambda number: b"%d" % (int(number[0]) // nodes), line)


def _mask(first: int, count: int, cpus: int) -> str:
    """Return a CPU mask as the kernel prints it: 32 bits at a time, commas between."""
    digits = f"{((1 << count) - 1) << first:0{cpus // 4}x}"
    return ",".join(digits[start : start + 8] for start in range(0, len(digits), 8))
