"""Reads inside one limited container: kernel, lxcfs, we, the floor; at once again, paced, first, sixteen at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from benchmarks.container import Container, container
from benchmarks.floors import MISS_TRIPS, OPEN_TRIPS, answered, answered_at_once
from benchmarks.kit import Kit, in_turn
from benchmarks.results import FLOOR
from benchmarks.servers import Server, lxcfs, ours
from benchmarks.touched import files_behind
from cgroup_model.keys import escape_path
from scripts.debian_tools import FetchError, Unavailable

OPEN_FILES: Final = ("stat", "cpuinfo", "uptime", "loadavg")
HOT_READS: Final = 2000
FEW_HOT_READS: Final = 500  # of who is slow, or when time is short
PACED_READS: Final = 120
PACE_USEC: Final = 15_000  # longer than the TTL: each read is a miss
PARALLEL: Final = 16
PARALLEL_READS: Final = 200
FIRST: Final = "first read in a new container"


@dataclass(slots=True)
class Case:
    """One file, read in one way from one server; or the floor, with the files that have to be read."""

    name: str  # cases of one name are compared
    candidate: str
    path: str = ""  # inside the container
    paced: bool = False
    server: Server | None = None
    trips: int = 0
    behind: Sequence[str] = field(default_factory=list)

    def reads(self, kit: Kit) -> int:
        """Reads per round."""
        if self.paced:
            return PACED_READS
        return FEW_HOT_READS if kit.quick or self.candidate == "fusepy" else HOT_READS


def measure(kit: Kit) -> None:
    """Measure all of it."""
    with ours(kit.folder) as we, lxcfs(kit.folder) as peer, contextlib.ExitStack() as stack:
        libfuse = None if kit.quick else _through_libfuse(kit, stack)
        with container("b") as inside:
            listed = cases(inside, we, peer, libfuse)
            if kit.quick:  # of those that take long by definition only what is judged
                listed = [case for case in listed if not case.paced or case.candidate not in ("kernel", "open")]
            for case in in_turn(listed, kit.rounds):
                kit.results.add(case.name, case.candidate, one_round(kit, inside, case))
            for case in in_turn(parallel_cases(inside, we, peer), kit.some(kit.rounds)):
                kit.results.add(case.name, case.candidate, all_at_once(kit, inside, case))
        _first_reads(kit, we, peer)
        for server in (we, peer, *([libfuse] if libfuse else ())):
            kit.results.add("memory, a container", server.name, server.memory())


def _through_libfuse(kit: Kit, stack: contextlib.ExitStack) -> Server | None:
    try:
        return stack.enter_context(ours(kit.folder, name="fusepy", transport="fusepy"))
    except (FetchError, Unavailable, SystemExit) as error:
        kit.results.missing.append(f"transport fusepy: {error}")
        return None


def cases(inside: Container, we: Server, peer: Server, libfuse: Server | None) -> list[Case]:
    """Bind our files into the container and list what is read. lxcfs answers for the caller at its mount point."""
    bind(inside, we, "/mnt")
    listed = [
        Case("meminfo hot", "kernel", "/proc/meminfo"),
        Case("meminfo hot", "lxcfs", f"{peer.mountpoint}/proc/meminfo", server=peer),
        Case("meminfo hot", "cached", "/mnt/cached", server=we),
        Case("meminfo hot", "open", "/mnt/meminfo", server=we),
        Case("meminfo hot", "caller", f"{we.mountpoint}/proc/meminfo", server=we),
        Case("meminfo paced", "kernel", "/proc/meminfo", paced=True),
        Case("meminfo paced", "lxcfs", f"{peer.mountpoint}/proc/meminfo", paced=True, server=peer),
        Case("meminfo paced", "cached", "/mnt/cached", paced=True, server=we),
        Case("meminfo paced", "open", "/mnt/meminfo", paced=True, server=we),
        Case("meminfo paced", FLOOR, paced=True, trips=MISS_TRIPS, behind=files_behind(inside.path, "meminfo")),
        Case("meminfo hot", FLOOR, trips=OPEN_TRIPS, behind=files_behind(inside.path, "meminfo")),
    ]
    for name in OPEN_FILES:
        listed += [
            Case(f"{name} hot", "kernel", f"/proc/{name}"),
            Case(f"{name} hot", "lxcfs", f"{peer.mountpoint}/proc/{name}", server=peer),
            Case(f"{name} hot", "open", f"/mnt/{name}", server=we),
            Case(f"{name} hot", FLOOR, trips=OPEN_TRIPS, behind=files_behind(inside.path, name)),
        ]
    if libfuse is not None:
        for name in ("meminfo", "uptime"):
            listed.append(Case(f"{name} hot", "fusepy", f"{libfuse.mountpoint}/proc/{name}", server=libfuse))
    return listed


def bind(inside: Container, we: Server, folder: str) -> None:
    """Bind our files of the container into it, as attach does."""
    key = escape_path(inside.path)
    inside.bind(f"{we.containers}/{key}/proc/meminfo", f"{folder}/cached")
    for name in ("meminfo", *OPEN_FILES):
        inside.bind(f"{we.mountpoint}/containers/{key}/proc/{name}", f"{folder}/{name}")


def one_round(kit: Kit, inside: Container, case: Case) -> dict[str, float]:
    """Read a file often enough; microseconds."""
    reads, pace = case.reads(kit), PACE_USEC if case.paced else 0
    if case.candidate == FLOOR:
        return answered(kit, case.trips, case.behind, reads=reads, pace_usec=pace)
    before = case.server.cpu_seconds() if case.server else 0.0
    found = inside.run(kit.programs.reader, case.path, str(reads), str(pace))
    least, p50, p99 = (int(word) / 1000 for word in found.split())
    figures = {"p50_usec": p50, "p99_usec": p99, "min_usec": least}
    if case.server is not None:
        figures["server_cpu_usec"] = (case.server.cpu_seconds() - before) * 1e6 / reads
    return figures


def parallel_cases(inside: Container, we: Server, peer: Server) -> Iterator[Case]:
    """What sixteen readers read."""
    for name, cached in (("meminfo", "/mnt/cached"), ("stat", "")):
        behind = files_behind(inside.path, name)
        yield Case(f"{name}, {PARALLEL} readers", FLOOR, trips=OPEN_TRIPS, behind=behind)
        yield Case(f"{name}, {PARALLEL} readers", "kernel", f"/proc/{name}")
        yield Case(f"{name}, {PARALLEL} readers", "lxcfs", f"{peer.mountpoint}/proc/{name}", server=peer)
        yield Case(f"{name}, {PARALLEL} readers", "cached" if cached else "open", cached or f"/mnt/{name}", server=we)


def all_at_once(kit: Kit, inside: Container, case: Case) -> dict[str, float]:
    """Read a file by many readers; medians of the readers, the worst 99th percentile."""
    if case.candidate == FLOOR:
        pairs = answered_at_once(kit, case.trips, case.behind, reads=PARALLEL_READS, pairs=PARALLEL)
        most = {"p99_usec": max(pair["p99_usec"] for pair in pairs)}
        return {name: median(pair[name] for pair in pairs) for name in ("p50_usec", "server_cpu_usec")} | most
    script = 'for one in $(seq "$4"); do "$1" "$2" "$3" 0 & done; wait'
    before = case.server.cpu_seconds() if case.server else 0.0
    found = inside.run("sh", "-c", script, "sh", kit.programs.reader, case.path, str(PARALLEL_READS), str(PARALLEL))
    rows = [[int(word) / 1000 for word in line.split()] for line in found.splitlines()]
    if len(rows) != PARALLEL:
        raise SystemExit(f"{case.path}: only {len(rows)} of {PARALLEL} readers came to an end")
    figures = {"p50_usec": median(row[1] for row in rows), "p99_usec": max(row[2] for row in rows)}
    if case.server is not None:
        figures["server_cpu_usec"] = (case.server.cpu_seconds() - before) * 1e6 / PARALLEL_READS / PARALLEL
    return figures


def _first_reads(kit: Kit, we: Server, peer: Server) -> None:
    """Read a file for the first time in new containers."""
    for number in range(3 if kit.quick else 10):
        with container(f"{number:x}") as inside:
            bind(inside, we, "/mnt")
            paths = [
                ("kernel", "/proc/meminfo"),
                ("lxcfs", f"{peer.mountpoint}/proc/meminfo"),
                ("cached", "/mnt/cached"),
                ("open", "/mnt/stat"),
            ]
            for candidate, path in in_turn(paths, 1) if number % 2 else reversed(paths):
                took = int(inside.run(kit.programs.reader, path, "1", "0").split()[0]) / 1e6
                kit.results.add(FIRST, candidate, {"first_msec": took})
            least = answered(kit, MISS_TRIPS, files_behind(inside.path, "meminfo"), reads=1)
            kit.results.add(FIRST, FLOOR, {"first_msec": least["p50_usec"] / 1000})
