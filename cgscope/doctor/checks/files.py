"""The virtual files in containers: which have them, and whether anybody serves them.

Only lines of mountinfo are compared: to open a file would be to wait for its server, which may be what is wrong.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from cgroup_model.engines import container_path
from cgroup_model.mounts import Mount, parse_mountinfo
from cgroup_model.parse import proc_cgroup
from cgscope.doctor.finding import Finding, note, ok, problem, unknown
from cgscope.doctor.machine import Machine

TITLE = "files in containers"

_FILE_SYSTEM: Final = b" - fuse.procfs-fuse "


def check(machine: Machine) -> Iterator[Finding]:
    """Look into the mount namespace of each container."""
    subject = "containers"
    if not machine.is_root:
        yield unknown(subject, "only root may look", "try again with sudo")
        return
    here = {mount.device for process in ("self", "1") for mount in _ours(machine, process)}  # a pod sees few of them
    inside = {pid: {mount.device for mount in _ours(machine, pid)} for pid in _first_processes(machine)}
    served = sum(bool(devices & here) for devices in inside.values())
    dead = [pid for pid, devices in inside.items() if devices - here]
    if dead:
        found = f"{len(dead)} with files that nobody serves (process {dead[0]})"
        yield problem(subject, found, "procfs-fuse mount, with the same folder as before, repairs them")
    if served == len(inside):
        yield ok(subject, f"{served} of {len(inside)} have them" if inside else "none")
    else:
        advice = "procfs-fuse attach TARGET, or mount --attach all for every one"
        yield note(subject, f"{served} of {len(inside)} have them", advice)


def _ours(machine: Machine, process: str) -> list[Mount]:
    try:
        with open(machine.path("proc", process, "mountinfo"), "rb") as file:
            return parse_mountinfo(b"".join(line for line in file if _FILE_SYSTEM in line))
    except OSError:
        return []  # it ended


def _first_processes(machine: Machine) -> Iterator[str]:
    """Yield a process of each container: of each mount namespace but our own that a container's process is in."""
    seen = {os.readlink(machine.path("proc/self/ns/mnt"))}
    for pid in filter(str.isdigit, os.listdir(machine.path("proc"))):
        try:
            namespace = os.readlink(machine.path("proc", pid, "ns/mnt"))
            if namespace not in seen and _is_contained(machine, pid):
                seen.add(namespace)
                yield pid
        except OSError:
            continue  # it ended


def _is_contained(machine: Machine, pid: str) -> bool:
    with open(machine.path("proc", pid, "cgroup"), "rb") as file:
        return any(container_path(line.path) for line in proc_cgroup(file.read()))
