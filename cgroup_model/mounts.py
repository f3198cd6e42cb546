"""Which cgroup hierarchy serves which controller, and where its directories are.

Sources: ``/proc/self/mountinfo`` and ``/proc/self/cgroup`` (proc(5), cgroup_namespaces(7)). A line of mountinfo:

``36 31 0:33 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory``

The decision is made per controller, so that v1, v2 and any hybrid are one case. Inside a cgroup namespace the
kernel writes paths relative to the namespace's root, also with leading ``..``, both as the root of a mount and in
``/proc/PID/cgroup``.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Literal, NamedTuple

from cgroup_model.dialects import dialect_for
from cgroup_model.parse import CgroupLine, ParseError, proc_cgroup
from cgroup_model.record import dataclass
from cgroup_model.source import CgroupGone, Missing, Source

CANONICAL_NAMES = {"blkio": "io"}
V1_CONTROLLERS = frozenset(
    {"cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "hugetlb", "perf_event"}
    | {"net_cls", "net_prio", "rdma", "misc", "dmem", "debug"}
)
PRIMARY_ORDER = ("memory", "pids", "cpu", "cpuacct", "cpuset", "io", "freezer")
_PLAIN = re.compile(r"(?:/[^/\0.][^/\0]*)+")  # no empty name, none that begins with a dot
ESCAPE = re.compile(rb"\\([0-7]{3})")


class OutOfSight(Exception):
    """The cgroup exists, but lies outside of what the mounts of this process show."""


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """One cgroup hierarchy, at the mount that shows most of it.

    ``root`` is the cgroup path of the mount point's cgroup, as ``/proc/self/mountinfo`` writes it. When that is
    above the root of our cgroup namespace (``/../..``), ``position`` is the way down from the mount point to the
    namespace's root, as far as it is known.
    """

    version: Literal[1, 2]
    mountpoint: str
    root: str
    controllers: frozenset[str]  # canonical names: v1's blkio is "io"
    name: str | None = None  # of a named v1 hierarchy, such as "systemd"
    position: tuple[str, ...] = ()

    def directory(self, path: str) -> str:
        """Find the directory of the cgroup ``path`` (as ``/proc/PID/cgroup`` writes it); raises `OutOfSight`."""
        if self.root == "/" and _is_plain(path):  # nearly always
            return sys.intern(self.mountpoint.rstrip("/") + path)  # kept in many places: one text for all of them
        up, names = split_path(path)
        root_up, root_names = split_path(self.root)
        if up == root_up and names[: len(root_names)] == root_names:
            below = names[len(root_names) :]
        elif up < root_up and not root_names and root_up - up <= len(self.position):
            below = self.position[: root_up - up] + names
        else:
            raise OutOfSight(f"cgroup {path} is outside of {self.root}, which is mounted on {self.mountpoint}")
        return "/".join((self.mountpoint.rstrip("/"), *below)) or "/"

    def path(self, directory: str) -> str:
        """Invert `directory`: the cgroup path of a directory at or below the mount point."""
        mountpoint = self.mountpoint.rstrip("/")
        if directory.rstrip("/") != mountpoint and not directory.startswith(mountpoint + "/"):
            raise OutOfSight(f"{directory} is not below {self.mountpoint}")
        path = directory[len(mountpoint) :]
        if self.root == "/" and not self.position and _is_plain(path):
            return sys.intern(path)
        below = tuple(name for name in directory[len(mountpoint) :].split("/") if name)
        if ".." in below or "." in below:
            raise OutOfSight(f"{directory} is not a plain path")
        up, names = split_path(self.root)
        known = 0
        while not names and known < min(len(below), len(self.position)) and below[known] == self.position[known]:
            known += 1
        return join_path(up - known, names + below[known:])


@lru_cache(maxsize=256)  # the same path is asked about for one hierarchy after the other
def _is_plain(path: str) -> bool:
    return _PLAIN.fullmatch(path) is not None


@dataclass(frozen=True, slots=True)
class Mounts:
    """All hierarchies that this process can see."""

    hierarchies: tuple[Hierarchy, ...]

    def for_controller(self, name: str) -> Hierarchy | None:
        """Find the hierarchy that serves a controller (canonical name); ``""`` is the v2 core, also in hybrid."""
        if not name:
            return next((one for one in self.hierarchies if one.version == 2), None)
        return next((one for one in self.hierarchies if name in one.controllers), None)

    @property
    def primary(self) -> Hierarchy:
        """The hierarchy whose paths name the containers; raises `OutOfSight` when no cgroup is mounted."""
        core = self.for_controller("")
        if core is not None and core.controllers & {"memory", "pids"}:
            return core
        for name in PRIMARY_ORDER:
            if (found := self.for_controller(name)) is not None:
                return found
        if not self.hierarchies:
            raise OutOfSight("no cgroup file system is mounted")
        return self.hierarchies[0]

    @property
    def world(self) -> Literal["v1", "hybrid", "v2"]:
        """What the host's set-up is called: v2 without any v1 controller, v1 without any v2, or both."""
        has_v1 = any(one.version == 1 and one.controllers for one in self.hierarchies)
        if self.for_controller("") is None:
            return "v1"
        return "hybrid" if has_v1 else "v2"


def split_path(path: str) -> tuple[int, tuple[str, ...]]:
    """Split ``/../../a/b`` into (2, ("a", "b")); refuses paths that would leave the place they name."""
    names = tuple(name for name in path.split("/") if name)
    up = next((index for index, name in enumerate(names) if name != ".."), len(names))
    if not path.startswith("/") or "\0" in path or ".." in names[up:] or "." in names:
        raise OutOfSight(f"not the path of a cgroup: {path!r}")
    return up, names[up:]


def join_path(up: int, names: Iterable[str]) -> str:
    """Invert `split_path`."""
    return "/" + "/".join((*[".."] * up, *names))


def discover_mounts(proc_root: str = "/proc", cgroup_root: str | None = None, pid: int | None = None) -> Mounts:
    """Read which hierarchies are mounted.

    With ``cgroup_root`` only mounts at or below that directory count. ``pid`` is our own as lists of members show
    it (default: `os.getpid`).
    """
    with open(f"{proc_root}/self/mountinfo", "rb") as file:
        mounts = _visible(parse_mountinfo(file.read()))
    if cgroup_root is not None:
        mounts = [mount for mount in mounts if _covers(cgroup_root.rstrip("/") or "/", mount.mountpoint)]
    with open(f"{proc_root}/self/cgroup", "rb") as file:
        own = proc_cgroup(file.read())
    groups: dict[object, list[Mount]] = {}
    for mount in mounts:
        groups.setdefault(_identity(mount), []).append(mount)
    with Source(budget=0) as source:
        found = [_hierarchy(min(group, key=_shows_least), source) for group in groups.values()]
        return Mounts(tuple(_located(one, own, source, pid or os.getpid()) for one in found))


# ------------------------------------------------------------------------------------------- mountinfo


class Mount(NamedTuple):
    """One line of mountinfo, decoded."""

    id: int
    parent: int
    device: str  # "major:minor", the same for all mounts of one file system
    root: str
    mountpoint: str
    filesystem: str
    options: tuple[str, ...]  # of the superblock


def parse_mountinfo(data: bytes) -> list[Mount]:
    r"""Parse all mounts; blanks in paths are written as octal escapes (``\\040``)."""
    return [_parse_mount(line) for line in data.split(b"\n") if line]


def _parse_mount(line: bytes) -> Mount:
    left, dash, right = line.partition(b" - ")
    fields = left.split(b" ")
    behind = right.split(b" ")
    if not dash or len(fields) < 6 or len(behind) < 2 or not (fields[0].isdigit() and fields[1].isdigit()):
        raise ParseError("a line of mountinfo", line)
    options = tuple(_unescape(option) for option in behind[-1].split(b","))
    return Mount(
        int(fields[0][:20]),
        int(fields[1][:20]),
        os.fsdecode(fields[2]),
        _unescape(fields[3]),
        _unescape(fields[4]),
        _unescape(behind[0]),
        options,
    )


def _unescape(field: bytes) -> str:
    return os.fsdecode(ESCAPE.sub(lambda match: bytes((int(match[1], 8) & 0xFF,)), field))


def _covers(upper: str, path: str) -> bool:
    return path == upper or path.startswith(upper.rstrip("/") + "/")


def _visible(mounts: list[Mount]) -> list[Mount]:
    """Select the cgroup mounts that no other mount hides."""
    by_id = {mount.id: mount for mount in mounts}
    children: dict[int, list[Mount]] = {}
    for mount in mounts:
        children.setdefault(mount.parent, []).append(mount)
    cgroups = [mount for mount in mounts if mount.filesystem in ("cgroup", "cgroup2")]
    return [mount for mount in cgroups if not _hidden(mount, by_id, children)]


def _hidden(mount: Mount, by_id: dict[int, Mount], children: dict[int, list[Mount]]) -> bool:
    """Tell whether something is mounted on top of ``mount``, or higher up in a way that cuts off the path to it."""
    if any(child.mountpoint == mount.mountpoint for child in children.get(mount.id, ())):
        return True
    seen = {mount.id}
    while (parent := by_id.get(mount.parent)) is not None and parent.id not in seen:
        for sibling in children[parent.id]:
            if sibling.mountpoint != mount.mountpoint and _covers(sibling.mountpoint, mount.mountpoint):
                return True
        seen.add(parent.id)
        mount = parent
    return False


# ------------------------------------------------------------------------------------------- hierarchies


def _identity(mount: Mount) -> object:
    """Name what mounts of one hierarchy share: there is one v2 hierarchy, and a v1 controller is in one at most."""
    return mount.filesystem == "cgroup2" or (V1_CONTROLLERS.intersection(mount.options), _name(mount))


def _name(mount: Mount) -> str | None:
    return next((option[len("name=") :] for option in mount.options if option.startswith("name=")), None)


def _shows_least(mount: Mount) -> tuple[int, int, bool]:
    """Make a sort key: smaller shows more of the hierarchy."""
    up, names = split_path(mount.root)
    return len(names) - up, len(names), not _covers("/sys/fs/cgroup", mount.mountpoint)


def _hierarchy(mount: Mount, source: Source) -> Hierarchy:
    if mount.filesystem == "cgroup":
        served = V1_CONTROLLERS.intersection(mount.options)
        controllers = frozenset(CANONICAL_NAMES.get(name, name) for name in served)
        return Hierarchy(1, mount.mountpoint, mount.root, controllers, _name(mount))
    bare = Hierarchy(2, mount.mountpoint, mount.root, frozenset())
    return replace(bare, controllers=dialect_for(bare).read_controllers(source, bare.mountpoint))


def _located(hierarchy: Hierarchy, own: list[CgroupLine], source: Source, pid: int) -> Hierarchy:
    """Find `Hierarchy.position` when the mount point lies above the root of our cgroup namespace."""
    root_up, root_names = split_path(hierarchy.root)
    line = next((line for line in own if _serves(hierarchy, line)), None)
    if not root_up or root_names or line is None:
        return hierarchy
    own_up, own_names = split_path(line.path)
    if own_up > root_up:
        return hierarchy
    for names in _cgroups_at(hierarchy.mountpoint, root_up - own_up + len(own_names)):
        if names[len(names) - len(own_names) :] == own_names and _holds(hierarchy, names, source, pid):
            return replace(hierarchy, position=names[: root_up - own_up])
    return hierarchy


def _serves(hierarchy: Hierarchy, line: CgroupLine) -> bool:
    names = {CANONICAL_NAMES.get(name, name) for name in line.controllers}
    if hierarchy.version == 2:
        return not names
    return bool(names & hierarchy.controllers) or f"name={hierarchy.name}" in names


def _cgroups_at(directory: str, depth: int) -> Iterator[tuple[str, ...]]:
    """Walk all directories exactly ``depth`` levels below."""
    if not depth:
        yield ()
        return
    try:
        with os.scandir(directory) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:  # removed or forbidden: we are not in it, as far as we can know
        return
    for name in names:
        for below in _cgroups_at(f"{directory}/{name}", depth - 1):
            yield (name, *below)


def _holds(hierarchy: Hierarchy, names: tuple[str, ...], source: Source, pid: int) -> bool:
    try:
        return pid in dialect_for(hierarchy).read_procs(source, "/".join((hierarchy.mountpoint, *names)))
    except (Missing, CgroupGone, OSError):
        return False
