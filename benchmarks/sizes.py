"""How costs grow: containers that look once a second, threads whose load is sampled, CPUs in cpuinfo."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import replace
from statistics import median
from typing import Final

from benchmarks.crowd import Crowd, crowd, pollers
from benchmarks.floors import MISS_TRIPS, OPEN_TRIPS, answered, collected
from benchmarks.kit import Kit, at_sizes, in_turn
from benchmarks.results import FLOOR
from benchmarks.servers import Server, lxcfs, ours
from benchmarks.touched import files_behind
from cgroup_model.control import add_process, create, kill, remove
from cgroup_model.keys import escape_path
from cgroup_model.loadavg import PERIOD_SECONDS
from cgroup_model.mounts import discover_mounts
from cgroup_model.snapshot import UNLIMITED, Host, Policy, ShownCpus, Snapshot
from procfs_fuse.views import VIEWS
from tests.scenes import FIXTURES
from tests.scenes.archive import load

CONTAINERS: Final = (1, 10, 100, 1000)
THREADS: Final = (1000, 10_000)
CPUS: Final = (2, 16, 128)
WATCHED: Final = ("meminfo", "stat", "uptime", "loadavg")  # what top looks at
MEMORY: Final = "memory, all containers polled"
POLL_SECONDS: Final = 6
SAMPLE_SECONDS: Final = 15.5  # of three samples
SAMPLED_ROUNDS: Final = 2


def measure(kit: Kit) -> None:
    """Measure all of it."""
    with ours(kit.folder, name="many") as we, lxcfs(kit.folder, name="lxcfs-many") as peer:
        servers = {"ours": we, "lxcfs": peer}
        with crowd() as containers:
            for number in at_sizes(kit, "containers that poll", CONTAINERS[2:3] if kit.quick else CONTAINERS):
                containers.grow_to(number)
                for name in in_turn(servers, kit.some(3)):
                    polled(kit, containers, name, servers[name])
                polled(kit, containers, "kernel", None)
                _polled_in_c(kit, containers)
            for name, server in servers.items():
                kit.results.add(MEMORY, name, server.memory(), size=len(containers.paths), of="containers")
        for number in at_sizes(kit, "threads whose load is sampled", () if kit.quick else THREADS):
            _sampled(kit, number, servers)
    cpuinfo(kit)


def polled(kit: Kit, containers: Crowd, name: str, server: Server | None) -> None:
    """Have every container read what top reads, once a second; CPU time of the server, if there is one, per look."""
    files = {path: _watched(path, server) for path in containers.paths}
    with pollers(kit.programs.poller, POLL_SECONDS, files) as started:
        before = server.cpu_seconds() if server else 0.0
        rows = [_told(poller).split() for poller in started]
        spent = server.cpu_seconds() - before if server else 0.0
    looks = sum(int(row[0]) for row in rows if row)
    if not looks:
        kit.results.missing.append(f"{len(containers.paths):,} containers polled, {name}: every read failed")
        return
    figures = {"p50_usec": median(int(row[1]) / 1000 for row in rows if row)}
    if server is not None:
        figures["cpu_usec"] = spent * 1e6 / looks
    kit.results.add("polled once a second", name, figures, size=len(containers.paths), of="containers")


def _polled_in_c(kit: Kit, containers: Crowd) -> None:
    """The least that a look takes: one container's files, as often as all of them look."""
    number, trips = len(containers.paths), MISS_TRIPS + OPEN_TRIPS * (len(WATCHED) - 1)
    behind = files_behind(containers.paths[0], *WATCHED)
    reads = min(1000, 3 * number)
    found = answered(kit, trips, behind, reads=reads, pace_usec=1_000_000 // number)
    figures = {"p50_usec": found["p50_usec"], "cpu_usec": found["server_cpu_usec"]}
    kit.results.add("polled once a second", FLOOR, figures, size=number, of="containers")


def _told(poller: subprocess.Popen[str]) -> str:
    return poller.stdout.read() if poller.stdout is not None else ""


def _watched(path: str, server: Server | None) -> list[str]:
    """Where each file comes from and where it is bound to, as `attach` and users of lxcfs bind them."""
    sources = [f"{server.mountpoint if server else ''}/proc/{name}" for name in WATCHED]
    if server is not None and server.containers:
        key = escape_path(path)
        opened = [f"{server.mountpoint}/containers/{key}/proc/{name}" for name in WATCHED[1:]]
        sources = [f"{server.containers}/{key}/proc/meminfo", *opened]
    return [f"{source}:/proc/{name}" for source, name in zip(sources, WATCHED, strict=True)]


def _sampled(kit: Kit, number: int, servers: Mapping[str, Server]) -> None:
    """Have a container with many threads; CPU time per second of servers that only sample its load."""
    mounts, path = discover_mounts(), f"/cgscope-bench-{os.getpid()}/docker/{'7' * 64}"
    create(mounts, path)
    command = [kit.programs.threads, str(number)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        if process.stdout.readline() != "ready\n":
            kit.results.missing.append(f"load of {number} threads: this machine does not allow so many")
            return
        add_process(mounts, path, process.pid)
        # Each has a place of its own: one that lies below another is never read, and who is not asked does not sample.
        asking = [
            f"{server.mountpoint}/proc/loadavg:/proc/{name}"
            for server, name in zip(servers.values(), WATCHED, strict=False)
        ]
        with pollers(kit.programs.poller, 1, {path: asking}) as asked:
            asked[0].wait()
        for _ in range(kit.some(SAMPLED_ROUNDS)):
            before = {name: server.cpu_seconds() for name, server in servers.items()}
            time.sleep(SAMPLE_SECONDS)
            for name, server in servers.items():
                spent = (server.cpu_seconds() - before[name]) * 1000 / SAMPLE_SECONDS
                kit.results.add("load sampled", name, {"cpu_msec": spent}, size=number, of="threads")
        states = [f"/proc/{process.pid}/task/{one}/stat" for one in os.listdir(f"/proc/{process.pid}/task")]
        least = {"cpu_msec": collected(kit, states)["cpu_msec"] / PERIOD_SECONDS}
        kit.results.add("load sampled", FLOOR, least, size=number, of="threads")
    finally:
        kill(mounts, path)
        process.communicate()
        remove(mounts, f"/{path.split('/')[1]}", 60.0)


def _recorded() -> bytes:
    found = load((FIXTURES / "v2-128-cpus" / "machine.txt").read_bytes())["proc/cpuinfo"]
    assert isinstance(found, bytes)  # noqa: S101 - a file, not a link
    return found


def cpuinfo(kit: Kit) -> None:
    """Render cpuinfo of a recorded machine with 128 CPUs, cut to fewer for the smaller sizes; CPU time per rendering.

    In this process: no server can be given another machine. ``changed`` is a file in which a clock rate has changed, as
    it does on x86 whenever it is read anew, once a second at most; ``same`` all reads in between.
    """
    text, view = _recorded(), VIEWS["proc/cpuinfo"]
    for number in CPUS:
        shown = ShownCpus(tuple(range(number)), tuple(range(number)), UNLIMITED)
        base = Snapshot(
            path="/docker/b",
            taken_at=0.0,
            policy=Policy(),
            host=Host(cpuinfo=text, online_cpus=tuple(range(number))),
            cpus=shown,
        )
        for _ in range(kit.rounds):
            began = time.process_time()
            for one in range(20):
                view.render(replace(base, host=replace(base.host, cpuinfo=text + b"\n" * one)))
            changed = (time.process_time() - began) / 20
            began = time.process_time()
            for _again in range(2000):
                view.render(base)
            same = (time.process_time() - began) / 2000
            for name, seconds in (("changed", changed), ("same", same)):
                kit.results.add("cpuinfo rendered", name, {"cpu_usec": seconds * 1e6}, size=number, of="CPUs")
