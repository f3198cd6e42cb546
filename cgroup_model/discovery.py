"""Which cgroups are containers, kept fresh by inotify on every directory of one hierarchy.

Kernel: kernfs counts subdirectories in a directory's links (``st_nlink`` = 2 + children, fs/kernfs/inode.c), so that a
leaf, which most cgroups are, needs no listing of its forty control files. File systems that do not count (overlayfs and
btrfs say 1) are listed.

Notifications can fail (``fs.inotify.max_user_watches``, ``max_user_instances``) and queues overflow, so a full rescan
is always a way back: `Discovery.refresh`.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

from cgroup_model.inotify import Event, Inotify
from cgroup_model.mounts import Hierarchy

_LINKS_OF_A_LEAF: Final = 2  # "." and the entry in the parent
_GONE: Final = frozenset({errno.ENOENT, errno.ENODEV, errno.ENOTDIR})

_log = logging.getLogger(__name__)

ContainerPath = Callable[[str], str | None]
"""Innermost container cgroup on a cgroup path (a prefix of it or itself), None when there is none."""


class Child(NamedTuple):
    """A directory inside a cgroup's directory."""

    directory: str
    inode: int
    is_leaf: bool


def child_directories(directory: str) -> list[Child]:
    """List the cgroups right below a directory, by name; those that vanish meanwhile are left out.

    Raises OSError when the directory itself cannot be listed (FileNotFoundError: it is gone).
    """
    with os.scandir(directory) as entries:
        found = sorted(entry.path for entry in entries if entry.is_dir(follow_symlinks=False))
    return [child for path in found if (child := _child(path)) is not None]


def _child(directory: str) -> Child | None:
    try:
        status = os.lstat(directory)
    except OSError as error:
        # Cgroups may nest deeper than PATH_MAX; such a path cannot be opened either.
        if error.errno in _GONE | {errno.ENAMETOOLONG}:
            return None
        raise
    return Child(directory, status.st_ino, status.st_nlink == _LINKS_OF_A_LEAF)


def walk_directories(top: str) -> Iterator[Child]:
    """Yield a directory and everything below it, parents first.

    Without recursion, since the depth is a stranger's choice.
    """
    pending = [child for child in [_child(top)] if child is not None]
    while pending:
        child = pending.pop()
        yield child
        if not child.is_leaf:
            pending.extend(reversed(_listed(child.directory)))


def _listed(directory: str) -> list[Child]:
    try:
        return child_directories(directory)
    except OSError as error:
        if error.errno not in _GONE:
            _log.warning("cannot list %s: %s", directory, error.strerror)
        return []


class Discovery:
    """The container cgroups of one hierarchy. Not for use by several threads at once."""

    def __init__(self, hierarchy: Hierarchy, container_path: ContainerPath, removed: Callable[[str], None]) -> None:
        """Watch nothing yet; ``removed`` will be told the path of every cgroup, container or not, that goes."""
        self._hierarchy = hierarchy
        self._container_path = container_path
        self._removed = removed
        self._inotify = _open_inotify()
        self._watched: dict[int, str] = {}  # watch -> directory
        self._watches: dict[str, int] = {}  # the other way round
        self._found: dict[str, int] = {}  # path -> inode
        self._warned = False
        self.is_live = False
        """True while every directory is watched; otherwise only `refresh` sees all changes."""

    @property
    def inodes(self) -> Mapping[str, int]:
        """Path -> inode of the container cgroups, as last seen, ancestors first. It changes with what happens."""
        return self._found

    def fileno(self) -> int | None:
        """Return the descriptor to poll for reading; None without notifications."""
        return self._inotify.fileno() if self._inotify is not None else None

    def refresh(self) -> bool:
        """Look at everything again; True when the set of containers changed."""
        before, self._found = self._found, {}
        self._watched, self._watches = {}, {}  # all that exist are found again under the same number
        self.is_live = self._inotify is not None
        self._scan(self._hierarchy.mountpoint)
        if self._inotify is not None and not self.is_live and not self._warned:
            self._warned = True
            _log.warning("not every cgroup can be watched (see fs.inotify.max_user_watches): rescans only")
        for path in before.keys() - self._found.keys():
            self._removed(path)
        return before.keys() != self._found.keys()

    def process_events(self) -> bool:
        """Take in what was notified, without blocking; True when the set of containers changed."""
        if self._inotify is None:
            return False
        changed = overflow = False
        for event in self._inotify.read():
            overflow |= event.overflow
            changed |= self._apply(event)
        if overflow:
            changed |= self.refresh()
        return changed

    def close(self) -> None:
        """Stop watching."""
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None
        self.is_live = False

    def _apply(self, event: Event) -> bool:
        """Follow one event; True when a container came or went (or both: made again under the same name)."""
        parent = self._watched.get(event.watch)
        if parent is None:
            return False
        if event.ignored:
            directory = self._watched.pop(event.watch)
            if self._watches.get(directory) == event.watch:
                del self._watches[directory]
            return False
        if event.created:
            count = len(self._found)
            self._scan(f"{parent}/{event.name}")
            return len(self._found) != count
        path = self._hierarchy.path(f"{parent}/{event.name}")
        self._unwatch(f"{parent}/{event.name}")
        self._removed(path)
        if path not in self._found:
            return False
        del self._found[path]
        return True

    def _scan(self, top: str) -> None:
        """Watch and classify a directory and all below; what was known stays known."""
        pending = [top]
        while pending:
            directory = pending.pop()
            # First watch, then look: a child made in between is seen twice, never missed.
            if self._watch(directory) and (child := _child(directory)) is not None:
                path = self._hierarchy.path(directory)
                if self._container_path(path) == path:
                    self._found[path] = child.inode
                if not child.is_leaf:
                    pending.extend(below.directory for below in _listed(directory))

    def _unwatch(self, directory: str) -> None:
        """Give back the watch of a removed directory: the kernel keeps it for as long as it caches the inode."""
        watch = self._watches.pop(directory, None)
        if watch is not None and self._inotify is not None:
            self._inotify.remove(watch)

    def _watch(self, directory: str) -> bool:
        """Watch a directory as far as possible; False when it is gone."""
        if self._inotify is None:
            return True
        try:
            watch = self._inotify.add(directory)
            self._watched[watch], self._watches[directory] = directory, watch
        except OSError as error:
            if error.errno in _GONE:
                return False
            self.is_live = False  # ENOSPC: out of watches; EACCES: not ours to watch
        return True


def _open_inotify() -> Inotify | None:
    try:
        return Inotify()
    except OSError as error:
        _log.warning("no notifications of cgroups (%s): rescans only", error.strerror)
        return None
