"""Every cgroup of the memory controller's hierarchy under watch: made, removed, something killed in it.

On v1 each cgroup has an eventfd of its own, whose sum is known even when the cgroup is gone; on v2 the kernel marks a
file as modified. Registered when a directory appears, which inotify tells of the parent. What cannot be registered
(out of descriptors or watches, not permitted) is only looked at when somebody asks.
"""

from __future__ import annotations

import logging
import os
import select
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from cgroup_model.dialects import OomKills, dialect_for
from cgroup_model.discovery import child_directories
from cgroup_model.inotify import Event, Inotify
from cgroup_model.mounts import Hierarchy
from cgroup_model.parse import ParseError
from cgroup_model.source import CgroupGone, Missing, Source

MOST_REGISTERED: Final = 4096  # cgroups; on v1 each takes a descriptor
_MOST_EVENTS: Final = 256  # descriptors that one look at the epoll instance tells

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Watch:
    """One life of one cgroup. ``signals`` is the eventfd's sum (v1), or how often the file was notified (v2)."""

    path: str
    directory: str
    inode: int
    eventfd: int = -1
    directory_watch: int = -1
    file_watch: int = -1
    signals: int = 0
    explained: int = 0  # signals that the counter has answered for
    signalled_at: float = 0.0
    gone_at: float = 0.0
    buried: bool = False  # its kills were booked a first time
    removal_told: bool = False  # something was signalled after that: the removal

    @property
    def owes_one(self) -> bool:
        """True when its last signal may be a kill or the removal: the kernel tells that in the background."""
        return self.eventfd >= 0 and self.signals > self.explained and not self.removal_told

    @property
    def registered(self) -> bool:
        """True when its kills are notified."""
        return self.eventfd >= 0 or self.file_watch >= 0


@dataclass(slots=True)
class Changes:
    """What happened since the last look."""

    appeared: list[Watch] = field(default_factory=list)
    gone: list[Watch] = field(default_factory=list)
    signalled: list[Watch] = field(default_factory=list)


class Watches:
    """The watches of one hierarchy. Not for use by several threads at once."""

    def __init__(self, hierarchy: Hierarchy, *, notify: bool, most: int = MOST_REGISTERED) -> None:
        """Watch nothing yet; without ``notify`` `scan` is the only way to see changes."""
        self._hierarchy = hierarchy
        self._dialect = dialect_for(hierarchy)
        self._source = Source(budget=64, absent_seconds=60.0)
        self._most = most
        self._registered = 0
        self._inotify = _open_inotify() if notify else None
        self._epoll = select.epoll()
        if self._inotify is not None:
            self._epoll.register(self._inotify.fileno(), select.EPOLLIN)
        self._by_eventfd: dict[int, Watch] = {}
        self._by_file: dict[int, Watch] = {}
        self._directories: dict[int, str] = {}  # inotify's number -> directory
        self.living: dict[str, Watch] = {}
        """Path -> watch."""

    @property
    def notifies(self) -> bool:
        """True when changes are notified at all."""
        return self._inotify is not None

    def fileno(self) -> int:
        """Return the descriptor to poll for reading."""
        return self._epoll.fileno()

    def scan(self) -> Changes:
        """Look at every directory."""
        changes = Changes()
        seen: set[str] = set()
        self._scan(self._hierarchy.mountpoint, changes, seen)
        for path in self.living.keys() - seen:
            self.lose(self.living[path], changes)
        return changes

    def take(self) -> Changes:
        """Take in what was notified, without blocking."""
        changes = Changes()
        overflow = False
        for event in self._inotify.read() if self._inotify is not None else ():
            overflow |= event.overflow
            self._apply(event, changes)
        if overflow:
            again = self.scan()
            changes.appeared += again.appeared
            changes.gone += again.gone
        for descriptor, _mask in self._epoll.poll(0, _MOST_EVENTS):
            if (watch := self._by_eventfd.get(descriptor)) is not None and self.drain(watch):
                changes.signalled.append(watch)
        return changes

    def drain(self, watch: Watch) -> int:
        """Add what an eventfd has counted to ``signals``; gives how much that was."""
        if watch.eventfd < 0:
            return 0
        try:
            more = os.eventfd_read(watch.eventfd)
        except BlockingIOError:
            return 0
        watch.signals += more
        return more

    def read(self, watch: Watch) -> OomKills | None:
        """Read a cgroup's counters; None where there are none, or no sensible ones. Raises `CgroupGone`."""
        try:
            kills = self._dialect.read_oom_kills(self._source, watch.directory)
            if os.lstat(watch.directory).st_ino != watch.inode:  # a successor's
                raise CgroupGone(watch.directory)
        except (Missing, ParseError, PermissionError):
            return None
        except OSError as error:
            raise CgroupGone(watch.directory) from error
        return kills

    def lose(self, watch: Watch, changes: Changes) -> None:
        """Take a cgroup out of the living; its eventfd is kept until `forget`."""
        if self.living.get(watch.path) is watch:
            del self.living[watch.path]
        for number in (watch.directory_watch, watch.file_watch):
            # The kernel keeps watches of a removed directory for as long as it caches the inode.
            if number >= 0 and self._inotify is not None:
                self._inotify.remove(number)
        self._source.forget(watch.directory)
        changes.gone.append(watch)

    def forget(self, watch: Watch) -> None:
        """Give back what a watch holds."""
        if watch.eventfd >= 0:
            self._by_eventfd.pop(watch.eventfd, None)
            os.close(watch.eventfd)  # takes it out of the epoll instance, too
        if watch.file_watch >= 0:
            self._by_file.pop(watch.file_watch, None)
        self._registered -= watch.registered
        watch.eventfd = watch.file_watch = -1

    def close(self) -> None:
        """Stop watching."""
        for watch in list(self._by_eventfd.values()):
            self.forget(watch)
        self.living.clear()
        self._epoll.close()
        self._source.close()
        if self._inotify is not None:
            self._inotify.close()

    # ---------------------------------------------------------------------------------------- internals

    def _scan(self, top: str, changes: Changes, seen: set[str]) -> None:
        pending = [top]
        while pending:
            directory = pending.pop()
            # First watch, then look: a child made in between is seen twice, never missed.
            number = self._watch_directory(directory)
            try:
                status = os.lstat(directory)
                pending += [child.directory for child in child_directories(directory)] if status.st_nlink != 2 else []
            except OSError:  # gone, or not ours to list
                continue
            path = self._hierarchy.path(directory)
            seen.add(path)
            known = self.living.get(path)
            if known is not None and known.inode == status.st_ino:
                continue
            if known is not None:
                self.lose(known, changes)
            changes.appeared.append(self._begin(Watch(path, directory, status.st_ino, directory_watch=number)))

    def _watch_directory(self, directory: str) -> int:
        """Have children notified; gives the number of the watch, -1 when that is not possible."""
        if self._inotify is None:
            return -1
        try:
            number = self._inotify.add(directory)
        except OSError as error:
            log.debug("%s is not watched: %s", directory, error)
            return -1
        self._directories[number] = directory
        return number

    def _begin(self, watch: Watch) -> Watch:
        self.living[watch.path] = watch
        if self._inotify is not None and self._registered < self._most:
            try:
                self._register(watch, self._inotify)
            except (OSError, Missing, CgroupGone) as error:
                log.debug("kills in %s are not notified: %s", watch.directory, error)
            self._registered += watch.registered
        return watch

    def _register(self, watch: Watch, inotify: Inotify) -> None:
        if (path := self._dialect.oom_event_file(watch.directory)) is not None:
            watch.file_watch = inotify.add_file(path)
            self._by_file[watch.file_watch] = watch
            return
        eventfd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        try:
            self._dialect.register_oom(self._source, watch.directory, eventfd)
        except BaseException:
            os.close(eventfd)
            raise
        watch.eventfd = eventfd
        self._by_eventfd[eventfd] = watch
        self._epoll.register(eventfd, select.EPOLLIN)

    def _apply(self, event: Event, changes: Changes) -> None:
        if event.modified:
            watch = self._by_file.get(event.watch)
            if watch is not None:
                watch.signals += 1
                changes.signalled.append(watch)
            return
        if event.ignored:
            self._directories.pop(event.watch, None)
            return
        parent = self._directories.get(event.watch)
        if parent is None:
            return
        directory = f"{parent}/{event.name}"
        if event.created:
            self._scan(directory, changes, set())
        elif event.deleted:
            known = self.living.get(self._hierarchy.path(directory))
            if known is not None and not _is(directory, known.inode):
                self.lose(known, changes)

    def __iter__(self) -> Iterator[Watch]:
        return iter(list(self.living.values()))


def _is(directory: str, inode: int) -> bool:
    try:
        return os.lstat(directory).st_ino == inode
    except OSError:
        return False


def _open_inotify() -> Inotify | None:
    try:
        return Inotify()
    except OSError as error:
        log.warning("OOM kills are counted when somebody asks only: no inotify: %s", error.strerror)
        return None
