"""Reads a machine and some of its cgroups as files by path, without what is nobody's business.

Everything is taken raw, whether this project reads it now or not, so that a scene serves code that is not written yet.
Left out are the machine's other processes and cgroups; see `anonymous` for what is renamed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from cgroup_model.mounts import Mounts
from cgroup_model.sysfiles import cpu_tree, node_tree
from tests.scenes.anonymous import Anonymous, Numbers
from tests.scenes.archive import Entry, Link

_PROC: Final = (
    *("meminfo", "stat", "cpuinfo", "swaps", "diskstats", "vmstat", "partitions", "uptime", "loadavg", "slabinfo"),
    *("cgroups", "filesystems", "pressure/cpu", "pressure/memory", "pressure/io", "pressure/irq"),
    *("sys/kernel/pid_max", "sys/kernel/threads-max", "sys/kernel/osrelease", "sys/fs/file-nr", "sys/vm/swappiness"),
)
_TASK: Final = ("cgroup", "stat", "status", "comm", "io", "timens_offsets", "net/dev")
_NAMESPACES: Final = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")
_LISTS_OF_TASKS: Final = frozenset({"cgroup.procs", "cgroup.threads", "tasks"})
_SLOW: Final = frozenset({"memory.pressure_level", "cgroup.event_control"})  # made to be waited for, not to be read


def machine(mounts: Mounts, cgroups: Iterable[str]) -> dict[str, Entry]:
    """Return path -> content or link of the machine's own files, these cgroups, their ancestors and their members."""
    wanted = _with_ancestors(cgroups)
    trees = {
        one.mountpoint: [path for path in wanted if os.path.isdir(one.directory(path))] for one in mounts.hierarchies
    }
    members = sorted(
        {pid for one in mounts.hierarchies for path in wanted[1:] for pid in _members(one.directory(path))}
    )
    threads = sorted({tid for pid in members for tid in _threads(pid)}.difference(members))
    anonymous = Anonymous(Numbers([*members, *threads], first=1000))
    found: dict[str, Entry] = {}
    for path in (*(f"/proc/{name}" for name in _PROC), *_sys_files(), *_block_files()):
        _add(found, path, anonymous)
    found["proc/self/mountinfo"] = b"".join(_mount_lines())
    found["proc/self/cgroup"] = anonymous.own_cgroups(Path("/proc/self/cgroup").read_bytes())
    for kind in _NAMESPACES:
        _add_namespace(found, "self", "self", kind, anonymous)
    for one in mounts.hierarchies:
        for path in trees[one.mountpoint]:
            for file in _control_files(one.directory(path)):
                _add(found, file, anonymous, lists=os.path.basename(file) in _LISTS_OF_TASKS)
    for task in (*members, *threads):
        _add_task(found, task, anonymous)
    return found


def _with_ancestors(cgroups: Iterable[str]) -> list[str]:
    wanted = {"/"}
    for path in cgroups:
        wanted.update((path, *map(str, PurePosixPath(path).parents)))
    return sorted(wanted)


def _members(directory: str) -> list[int]:
    try:
        return [int(line) for line in Path(directory, "cgroup.procs").read_text().split()]
    except OSError:
        return []


def _add(found: dict[str, Entry], path: str, anonymous: Anonymous, *, lists: bool = False) -> None:
    content = _read(path)
    if content is not None:
        found[anonymous.text(path.lstrip("/").encode()).decode()] = (
            anonymous.tasks(content) if lists else anonymous.text(content)
        )


def _read(path: str) -> bytes | None:
    """Return the content; None for what cannot be read (some files only take, some answer only in other cgroups)."""
    try:
        return Path(path).read_bytes()
    except OSError:
        return None


def _sys_files() -> Iterator[str]:
    for name, tree in (("cpu", cpu_tree("/sys")), ("node", node_tree("/sys"))):
        files = tree.read(None)
        yield from (f"/sys/devices/system/{name}/{path}" for path in (files.files if files else ()))
    yield from (f"/sys/devices/system/cpu/{name}" for name in ("online", "possible", "present"))


def _block_files() -> Iterator[str]:
    return (str(path) for path in Path("/sys/class/block").glob("*/stat"))


def _control_files(directory: str) -> Iterator[str]:
    for name in sorted(os.listdir(directory)):
        path = f"{directory}/{name}"
        status = os.lstat(path)
        if stat.S_ISREG(status.st_mode) and status.st_mode & 0o444 and name not in _SLOW:
            yield path


def _mount_lines() -> Iterator[bytes]:
    """Yield the lines of cgroup mounts: the others say what a machine is used for."""
    for line in Path("/proc/self/mountinfo").read_bytes().splitlines(keepends=True):
        if line.partition(b" - ")[2].split(b" ")[0] in {b"cgroup", b"cgroup2"}:
            yield line


def _add_task(found: dict[str, Entry], task: int, anonymous: Anonymous) -> None:
    """Add a process, or a thread by its own number: the kernel does not list these, and answers all the same."""
    new = anonymous.numbers.of(task)
    for name in (*_TASK, f"task/{task}/stat"):
        if (content := _read(f"/proc/{task}/{name}")) is not None:
            renamed = f"task/{new}/stat" if name.startswith("task/") else name
            found[f"proc/{new}/{renamed}"] = anonymous.task_file(os.path.basename(name), content)
    for kind in _NAMESPACES:
        _add_namespace(found, str(task), str(new), kind, anonymous)


def _threads(pid: int) -> list[int]:
    try:
        return sorted(map(int, os.listdir(f"/proc/{pid}/task")))
    except OSError:
        return []


def _add_namespace(found: dict[str, Entry], pid: str, new: str, kind: str, anonymous: Anonymous) -> None:
    try:
        target = os.readlink(f"/proc/{pid}/ns/{kind}")
    except OSError:
        return
    found[f"proc/{new}/ns/{kind}"] = Link(anonymous.namespace(target))


def folders(entries: Mapping[str, Entry]) -> int:
    """Return how many cgroup folders were recorded, over all hierarchies."""
    return sum(path.startswith("sys/fs/cgroup/") and path.endswith("/cgroup.procs") for path in entries)
