"""/sys/devices/system/node: the memory nodes that the container may use, its CPUs and its memory on them.

Kernel: drivers/base/node.c; kB of 1024 bytes.

    node0/cpulist      0-1
    node0/meminfo      Node 0 MemTotal:         262144 kB
    node0/distance     10

Nodes keep the machine's numbers, unlike CPUs: mbind(2) and ``Mems_allowed`` of /proc/self/status speak of these.
Memory is limited for all nodes together, so each shows of our meminfo the share that its size is of all of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

from cgroup_model.parse import ParseError, format_id_list, id_list
from cgroup_model.snapshot import Need, Snapshot
from procfs_fuse.views import View, meminfo
from procfs_fuse.views._cpu_numbers import as_list, as_mask, renumbered, shown

PATH = "sys/devices/system/node"
NEEDS = Need.CPUSET | Need.HOST_NODE_FILES

_MEMINFO_LINE = re.compile(rb"^(\S+): +(\d+)", re.MULTILINE)
_NODE_LINE = re.compile(rb"^(Node +\d+ )(\S+):( +)(\d+)(.*)$", re.MULTILINE)
_TOTAL = re.compile(rb"MemTotal: +(\d+)")
_LISTS = ("online", "possible", "has_cpu", "has_memory", "has_normal_memory")


class Key(NamedTuple):
    """What decides which files there are."""

    nodes: tuple[int, ...]
    files: tuple[str, ...]


def key(snapshot: Snapshot) -> Key:
    """Return the nodes that the container may use, and the machine's files about nodes."""
    files = _machine(snapshot)
    return Key(_nodes(snapshot, files), tuple(files))


def leaves(key: Key) -> Iterator[View]:
    """Yield every file below the folder."""
    needs = NEEDS | Need.CPUS
    for path in key.files:
        if path in _LISTS:
            yield View(f"{PATH}/{path}", needs, partial(_list, path), OPTIONAL=needs)
            continue
        folder, _, name = path.partition("/")
        if name not in _FILES or _number(folder) not in key.nodes:
            continue
        wanted = needs | (meminfo.NEEDS if name == "meminfo" else Need.NOTHING)
        optional = Need.CPUSET | meminfo.OPTIONAL
        yield View(f"{PATH}/{path}", wanted, partial(_FILES[name], _number(folder)), OPTIONAL=optional)


def _machine(snapshot: Snapshot) -> Mapping[str, bytes]:
    return {} if snapshot.host.node_files is None else snapshot.host.node_files.files


def _number(folder: str) -> int:
    return int(folder[4:]) if folder[:4] == "node" and folder[4:].isdecimal() else -1


def _nodes(snapshot: Snapshot, files: Mapping[str, bytes]) -> tuple[int, ...]:
    machines = tuple(sorted({_number(path.partition("/")[0]) for path in files} - {-1}))
    allowed = None if snapshot.cpuset is None else snapshot.cpuset.mems_effective
    # A cpuset without memory nodes (v1, not set up) says nothing: its tasks use the parent's.
    return tuple(node for node in machines if allowed and node in allowed) or machines


def _list(name: str, snapshot: Snapshot) -> bytes:
    files = _machine(snapshot)
    nodes = _nodes(snapshot, files)
    if name not in {"online", "possible"}:
        machines = _ids(files.get(name, b""))
        nodes = tuple(node for node in nodes if node in machines)
    if name == "has_cpu":
        nodes = tuple(node for node in nodes if _cpus(node, snapshot))
    return format_id_list(nodes).encode() + b"\n"


def _ids(data: bytes) -> tuple[int, ...]:
    try:
        return id_list(data)
    except ParseError:
        return ()


def _cpus(node: int, snapshot: Snapshot) -> tuple[int, ...]:
    return renumbered(_machine(snapshot).get(f"node{node}/cpulist", b""), shown(snapshot))


def _cpulist(node: int, snapshot: Snapshot) -> bytes:
    return as_list(_cpus(node, snapshot))


def _cpumap(node: int, snapshot: Snapshot) -> bytes:
    return as_mask(_cpus(node, snapshot), len(shown(snapshot)))


def _distance(node: int, snapshot: Snapshot) -> bytes:
    """Distances to the nodes that are shown, in their order."""
    files = _machine(snapshot)
    distances = files.get(f"node{node}/distance", b"").split()
    machines = sorted({_number(path.partition("/")[0]) for path in files} - {-1})
    nodes = _nodes(snapshot, files)
    shown_ones = [distance for other, distance in zip(machines, distances, strict=False) if other in nodes]
    return b" ".join(shown_ones) + b"\n"


def _numastat(node: int, snapshot: Snapshot) -> bytes:
    """Counted for the machine only: zeros."""
    lines = _machine(snapshot).get(f"node{node}/numastat", b"").splitlines()
    return b"".join(line.partition(b" ")[0] + b" 0\n" for line in lines)


def _meminfo(node: int, snapshot: Snapshot) -> bytes:
    files = _machine(snapshot)
    sizes = {other: _total(files.get(f"node{other}/meminfo", b"")) for other in _nodes(snapshot, files)}
    machines = files.get(f"node{node}/meminfo", b"")
    whole = {name: int(value) for name, value in _MEMINFO_LINE.findall(meminfo.render(snapshot))}
    if not whole or not sum(sizes.values()):
        return machines
    before = sum(size for other, size in sizes.items() if other < node)

    def share(value: int) -> int:
        """Of a whole, so that the shares of all nodes add up to it."""
        everything = sum(sizes.values())
        return value * (before + sizes.get(node, 0)) // everything - value * before // everything

    def line(match: re.Match[bytes]) -> bytes:
        number = b"%d" % _value(match[2], whole, share)
        room = len(match[3]) + len(match[4])
        return b"%s%s:%s%s" % (match[1], match[2], number.rjust(max(room, len(number) + 1)), match[5])

    return _NODE_LINE.sub(line, machines)


def _value(name: bytes, whole: Mapping[bytes, int], share: Callable[[int], int]) -> int:
    if name == b"MemUsed":
        return share(whole.get(b"MemTotal", 0)) - share(whole.get(b"MemFree", 0))
    if name == b"FilePages":
        return sum(share(whole.get(part, 0)) for part in (b"Cached", b"Buffers", b"SwapCached"))
    return share(whole.get(name, 0))


def _total(content: bytes) -> int:
    match = _TOTAL.search(content)
    return int(match[1]) if match else 0


_FILES: Mapping[str, Callable[[int, Snapshot], bytes]] = {
    "cpulist": _cpulist,
    "cpumap": _cpumap,
    "distance": _distance,
    "numastat": _numastat,
    "meminfo": _meminfo,
}
