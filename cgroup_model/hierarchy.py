"""The tree of cgroups: identity across hierarchies, ancestors, walks, and which of them are containers."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

from cgroup_model.discovery import ContainerPath, Discovery, child_directories, walk_directories
from cgroup_model.keys import container_keys, escape_path, unescape_path
from cgroup_model.layout import Cgroup, Layout, Level, lay_out, nearest, path_in, served_by, upwards
from cgroup_model.mounts import Mounts, OutOfSight
from cgroup_model.parse import proc_cgroup
from cgroup_model.source import CgroupGone, Source

__all__ = ["Cgroup", "Layout", "Level", "Tree", "escape_path", "unescape_path"]

_SETTLING_SECONDS: Final = 5.0  # launchers make a container's directories in v1 hierarchies one after the other
_INCOMPLETE_SECONDS: Final = 1.0  # how soon a directory that is missing in some hierarchy is looked for again
_NEW_SECONDS: Final = 0.02  # the same while it may just be being made: nobody is to see limits of half a container
_MOST_CACHED: Final = 16384  # cgroups; everything that is cached can be found again


def _no_container(_path: str) -> str | None:
    return None


class _Known(NamedTuple):
    """A cgroup with its paths, and until when to believe them; None where every hierarchy has a directory for it."""

    cgroup: Cgroup
    until: float | None
    since: float  # when this very cgroup was seen first


class Tree:
    """The cgroups of this machine as far as they are mounted. Safe to share between threads.

    ``container_path`` says which cgroups are containers, ``container_id`` what their engines call them.
    """

    def __init__(
        self,
        mounts: Mounts,
        source: Source,
        *,
        container_path: ContainerPath = _no_container,
        container_id: Callable[[str], str | None] = _no_container,
        proc_root: str = "/proc",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.mounts = mounts
        self._source = source
        self._container_path = container_path
        self._container_id = container_id
        self._proc_root = proc_root
        self._clock = clock
        self._primary = mounts.primary
        self._served = served_by(mounts)
        self._known: dict[str, _Known] = {}  # by path
        self._layouts: dict[Cgroup, Layout] = {}
        self._lock = threading.RLock()
        self._discovery: Discovery | None = None
        self._containers: dict[str, Cgroup] | None = None
        self._settled_at = 0.0
        self.when_forgotten: list[Callable[[Cgroup], None]] = []
        """Whom to tell of a cgroup that is gone."""
        self.changes = 0  # how often containers changed, as far as was notified: whoever asks takes notifications in

    # ------------------------------------------------------------------------------------------ identity

    def cgroup(self, path: str) -> Cgroup:
        """Find the cgroup with this path in the primary hierarchy, and its counterparts in the others.

        A hierarchy without that path applies the limits of the nearest ancestor that it has, and is asked again a
        second later.
        Raises `CgroupGone` when there is none, `OutOfSight` when the mounts do not show it.
        """
        directory = self._primary.directory(path)
        try:
            inode = os.lstat(directory).st_ino
        except (OSError, ValueError) as error:  # ValueError: a NUL byte
            raise CgroupGone(directory) from error
        return self._located(self._primary.path(directory), inode)

    def cgroup_of_pid(self, pid: int) -> Cgroup:
        """Find the cgroup of a process, hierarchy by hierarchy.

        Raises ProcessLookupError when the process is gone, `CgroupGone` and `OutOfSight` as `cgroup` does.
        """
        lines = proc_cgroup(self._read_proc(pid))
        path = path_in(self._primary, lines)
        if path is None:
            raise OutOfSight(f"process {pid} is in no cgroup of {self._primary.mountpoint}")
        own = self.cgroup(path)
        paths = dict(own.paths)
        for served in self._served:
            if served.hierarchy is not self._primary and (path := path_in(served.hierarchy, lines)) is not None:
                try:
                    path = served.hierarchy.path(served.hierarchy.directory(path))
                except OutOfSight:
                    continue
                paths.update(dict.fromkeys(served.controllers, path))
        return own if paths == own.paths else Cgroup(own.path, own.inode, paths)

    def layout(self, cgroup: Cgroup) -> Layout:
        """Directories and levels of a cgroup; cached."""
        layout = self._layouts.get(cgroup)
        if layout is None:
            layout = lay_out(cgroup, self._primary, self._served)
            if len(self._layouts) >= _MOST_CACHED:
                self._layouts.clear()
            self._layouts[cgroup] = layout
        return layout

    def is_alive(self, cgroup: Cgroup) -> bool:
        """Tell whether this very cgroup is still there, and not a new one with its path.

        The kernel never gives an inode number of a cgroup again (64-bit kernfs ids, fs/kernfs/dir.c).
        """
        known = self._layouts.get(cgroup)  # not kept anew: those that are asked about are often gone
        home = self._primary.directory(cgroup.path) if known is None else known.home
        try:
            return os.lstat(home).st_ino == cgroup.inode
        except OSError:
            return False

    def forget(self, path: str) -> None:
        """Drop what is cached of a cgroup that is gone, its descriptors included."""
        known = self._known.pop(path, None)
        if known is not None:
            self._layouts.pop(known.cgroup, None)
            for tell in self.when_forgotten:
                tell(known.cgroup)
        for served in self._served:
            try:
                self._source.forget(served.hierarchy.directory(path))
            except OutOfSight:
                continue

    # -------------------------------------------------------------------------------------- relatives

    def ancestors(self, cgroup: Cgroup) -> tuple[Cgroup, ...]:
        """Return the ancestors in the primary hierarchy, parent first, up to the mount's root."""
        return tuple(self.cgroup(path) for path, _directory in upwards(self._primary, cgroup.path)[1:])

    def children(self, cgroup: Cgroup) -> list[Cgroup]:
        """Return the cgroups right below, by name; raises `CgroupGone`."""
        directory = self._primary.directory(cgroup.path)
        try:
            below = child_directories(directory)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise CgroupGone(directory) from error
        return [self._located(self._primary.path(child.directory), child.inode) for child in below]

    def walk(self, top: str | None = None) -> Iterator[Cgroup]:
        """Yield a cgroup (all that is mounted) and all below it, parents first; what vanishes meanwhile is left out."""
        directory = self._primary.mountpoint if top is None else self._primary.directory(top)
        for child in walk_directories(directory):
            yield self._located(self._primary.path(child.directory), child.inode)

    # ------------------------------------------------------------------------------------- containers

    def containers(self) -> Mapping[str, Cgroup]:
        """Map key -> container cgroup, as of now; see `keys.container_keys` for what a key is.

        The first call looks at every directory, later ones only at what was notified.
        """
        with self._lock:
            self.process_events()
            if self._containers is None:
                self._settled_at = self._clock() + _SETTLING_SECONDS
            if self._containers is None or self._is_settling(self._containers):
                self._containers = self._resolve_containers()
            return self._containers

    def find(self, key: str) -> Cgroup:
        """Find a container, or any other cgroup by its escaped path; raises `CgroupGone` when there is none."""
        known = self.containers().get(key)
        if known is not None:
            return known
        try:
            return self.cgroup(unescape_path(key))
        except (ValueError, OutOfSight) as error:
            raise CgroupGone(key) from error

    def refresh(self) -> bool:
        """Look at every directory again: the backstop against lost notifications. True when containers changed."""
        with self._lock:
            changed = self._discover().refresh()
            self._containers = None
            for cgroup in [cgroup for cgroup in list(self._layouts) if not self.is_alive(cgroup)]:
                self.forget(cgroup.path)
                self._layouts.pop(cgroup, None)
            return changed

    def process_events(self) -> bool:
        """Take in what was notified, without blocking: for when `fileno` is readable. True when containers changed."""
        with self._lock:
            changed = self._discover().process_events()
            if changed:
                self._containers = None
                self.changes += 1
            return changed

    def fileno(self) -> int | None:
        """Return the descriptor for an event loop; None when the kernel gives no notifications."""
        with self._lock:
            return self._discover().fileno()

    @property
    def is_live(self) -> bool:
        """True while every cgroup is watched; otherwise only `refresh` sees all changes."""
        return self._discovery is not None and self._discovery.is_live

    def close(self) -> None:
        """Stop watching."""
        with self._lock:
            if self._discovery is not None:
                self._discovery.close()

    # --------------------------------------------------------------------------------------- internals

    def _discover(self) -> Discovery:
        if self._discovery is None:
            self._discovery = Discovery(self._primary, self._container_path, self.forget)
            self._discovery.refresh()
        return self._discovery

    def _is_settling(self, containers: Mapping[str, Cgroup]) -> bool:
        """Tell whether some hierarchy has no directory for one of these yet, but may get it."""
        if self._clock() >= self._settled_at:
            return False
        return any(not self._is_complete(cgroup) for cgroup in containers.values())

    def _is_complete(self, cgroup: Cgroup) -> bool:
        known = self._known.get(cgroup.path)
        return known is not None and known.until is None

    def _resolve_containers(self) -> dict[str, Cgroup]:
        found = {path: self._located(path, inode) for path, inode in self._discover().inodes.items()}
        keys = container_keys(found, self._container_id)
        return {key: found[path] for key, path in keys.items()}

    def _located(self, path: str, inode: int) -> Cgroup:
        """Return the cgroup with its path in every hierarchy; the same object while nothing changes."""
        known = self._known.get(path)
        if known is not None and known.cgroup.inode == inode and (known.until is None or self._clock() < known.until):
            return known.cgroup
        paths: dict[str, str] = {}
        complete = True
        for served in self._served:
            found = path if served.hierarchy is self._primary else nearest(served.hierarchy, path)
            complete = complete and found == path
            if found is not None:
                paths.update(dict.fromkeys(served.controllers, found))
        cgroup = Cgroup(path, inode, paths)
        if known is not None and known.cgroup == cgroup:
            cgroup = known.cgroup
        if len(self._known) >= _MOST_CACHED:
            self._known.clear()
        now = self._clock()
        since = known.since if known is not None and known.cgroup.inode == inode else now
        patience = _NEW_SECONDS if now - since < _SETTLING_SECONDS else _INCOMPLETE_SECONDS
        self._known[path] = _Known(cgroup, None if complete else now + patience, since)
        return cgroup

    def _read_proc(self, pid: int) -> bytes:
        try:
            with open(f"{self._proc_root}/{int(pid)}/cgroup", "rb", buffering=0) as file:
                return file.readall()
        except FileNotFoundError as error:
            raise ProcessLookupError(error.errno, "no such process", str(pid)) from error
