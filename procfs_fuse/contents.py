"""From a container and a view to bytes: one snapshot, one rendering, and what to answer when something is unknown.

The host's values are never shown silently: first choice is the last good answer of that container, then the host's,
and both are counted (``fallbacks``) and logged once per container and reason.
"""

from __future__ import annotations

import errno
import logging
import os
import time
from collections import Counter
from collections.abc import Hashable, Iterable
from typing import NamedTuple, Protocol

from cgroup_model.hierarchy import Cgroup
from cgroup_model.snapshot import Need, Snapshot
from cgroup_model.source import CgroupGone, Missing
from procfs_fuse.views import Tree, View

log = logging.getLogger(__name__)

_GOOD_SECONDS = 30.0  # after that a last good answer would look like a container in which nothing happens
_LONGEST_REMEMBERED = 8192  # bytes; large files (cpuinfo of a large machine) are not kept per container
_MOST_LOGGED = 4096


class Collector(Protocol):
    """What takes snapshots (`cgroup_model.collect.Collector`)."""

    def snapshot(self, cgroup: Cgroup, needs: Need) -> Snapshot:
        """The parts that are asked for; raises `CgroupGone`."""
        ...

    def machine(self, needs: Need) -> Snapshot:
        """The host's files alone."""
        ...

    def open_pressure(self, cgroup: Cgroup, resource: str) -> int:
        """A descriptor of the container's own pressure file; raises `Missing`, `CgroupGone`."""
        ...


class HostFiles:
    """The machine's own version of every virtual file, through descriptors opened before anything is mounted."""

    def __init__(self, views: Iterable[View], *, proc_root: str = "/proc", sys_root: str = "/sys") -> None:
        self._descriptors: dict[str, int] = {}
        self._roots = {"proc": proc_root, "sys": sys_root}
        for view in views:
            try:
                self._descriptors[view.PATH] = self._open(view)
            except OSError as error:
                log.info("the host has no %s (%s)", view.PATH, error.strerror)

    def _open(self, view: View) -> int:
        top, _, rest = view.PATH.partition("/")
        return os.open(f"{self._roots[top]}/{rest}", os.O_RDONLY | os.O_CLOEXEC)

    def read(self, view: View) -> bytes:
        """The whole file, fresh. Raises OSError (ENOENT where this kernel has no such file)."""
        fd = self._descriptors.get(view.PATH)
        if fd is not None:
            return _whole(fd)
        fd = self._open(view)  # one of thousands in a folder, or it came after the start
        try:
            return _whole(fd)
        finally:
            os.close(fd)

    def close(self) -> None:
        """Close all descriptors."""
        for fd in self._descriptors.values():
            os.close(fd)
        self._descriptors.clear()


def _whole(fd: int) -> bytes:
    chunks = [os.pread(fd, 1 << 16, 0)]
    while chunks[-1]:
        chunks.append(os.pread(fd, 1 << 16, sum(map(len, chunks))))
    return b"".join(chunks)


class _Good(NamedTuple):
    """An answer without fallbacks, and until when (CLOCK_MONOTONIC, seconds) it stands in for an unknown one.

    Until ``same_until`` (CLOCK_BOOTTIME, seconds) another look would say nothing else.
    """

    content: bytes
    until: float
    same_until: float


class Contents:
    """Renders views."""

    def __init__(self, collector: Collector, host: HostFiles) -> None:
        self._collector = collector
        self._host = host
        self._last_good: dict[tuple[str, int], dict[str, _Good]] = {}
        self._logged: set[tuple[str, str, str]] = set()
        self.passthrough = False
        """Whether everybody is shown the machine's values; see `switch`."""
        self.fallbacks: Counter[tuple[str, str]] = Counter()
        """(file, reason) -> how often an answer was not the container's own of that moment."""

    def switch(self, *, passthrough: bool) -> None:
        """Show everybody the machine's values from now on, or each container its own again."""
        if passthrough != self.passthrough:
            log.warning("passthrough %s", "on: containers see the machine's values" if passthrough else "off")
        self.passthrough = passthrough

    def of_host(self, view: View) -> bytes:
        """What the machine itself says; of a file of fixed length, at the length that it has for every container."""
        return view.render(self._collector.machine(view.NEEDS)) if view.CACHEABLE else self._host.read(view)

    def of_container(self, cgroup: Cgroup, view: View) -> bytes:
        """What the container is told. Raises OSError ENODEV when it is gone."""
        try:
            snapshot = self._collector.snapshot(cgroup, view.NEEDS)
            there = view.exists is None or view.exists(snapshot)
            content = view.render(snapshot)
            reasons = view.missing(snapshot)
        except CgroupGone:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV)) from None
        except Exception as error:  # noqa: BLE001 - whatever happens, a container gets an answer
            return self._fall_back(cgroup, view, f"{type(error).__name__}: {error}", None)
        if not there:
            raise _unsupported(view)
        if reasons:
            return self._fall_back(cgroup, view, ", ".join(reasons), content)
        if len(content) <= _LONGEST_REMEMBERED:
            same_until = view.same_until(snapshot) if view.same_until is not None else 0.0
            good = _Good(content, time.monotonic() + _GOOD_SECONDS, same_until)
            self._last_good.setdefault((cgroup.path, cgroup.inode), {})[view.PATH] = good
        return content

    def latest(self, cgroup: Cgroup, view: View) -> bytes | None:
        """What the container was told last, as long as there is nothing else to tell (`View.same_until`)."""
        good = self._last_good.get((cgroup.path, cgroup.inode), {}).get(view.PATH)
        return good.content if good is not None and time.clock_gettime(time.CLOCK_BOOTTIME) < good.same_until else None

    def has(self, cgroup: Cgroup, view: View) -> bool:
        """Tell whether the container is to see this file at all; one that is gone has none that it may lack."""
        if view.exists is None or view.SECRET or self.passthrough:
            return True
        try:
            self.of_container(cgroup, view)
        except OSError:
            return False
        return True

    def key_of(self, cgroup: Cgroup | None, tree: Tree) -> Hashable:
        """What a folder's files depend on; None: of the machine. Raises OSError ENODEV when the container is gone."""
        if cgroup is None or self.passthrough:
            return tree.key(self._collector.machine(tree.NEEDS))
        try:
            return tree.key(self._collector.snapshot(cgroup, tree.NEEDS))
        except CgroupGone:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV)) from None

    def open_trigger(self, cgroup: Cgroup, view: View) -> int:
        """Open the control file behind a pressure file; the descriptor is the caller's. Raises OSError."""
        try:
            return self._collector.open_pressure(cgroup, view.TRIGGERS)
        except CgroupGone:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV)) from None
        except Missing:
            raise _unsupported(view) from None

    def unresolved(self, view: View, reason: str) -> bytes:
        """For a caller whose container cannot be told: the host's answer, counted."""
        self._note("?", view, reason)
        if view.exists is not None:
            raise _unsupported(view)
        return self._host.read(view)

    def keep_only(self, alive: Iterable[tuple[str, int]]) -> None:
        """Forget every container whose (path, inode) is not in ``alive``."""
        for key in self._last_good.keys() - set(alive):
            del self._last_good[key]

    def _fall_back(self, cgroup: Cgroup, view: View, reason: str, partial: bytes | None) -> bytes:
        """``partial`` is what the view makes of an incomplete snapshot: the host's lines where it knows no better."""
        self._note(cgroup.path, view, reason)
        last = self._last_good.get((cgroup.path, cgroup.inode), {}).get(view.PATH)
        if last is not None and time.monotonic() < last.until:
            return last.content
        if view.exists is not None:
            raise _unsupported(view)
        return partial or self._host.read(view)

    def _note(self, path: str, view: View, reason: str) -> None:
        self.fallbacks[view.PATH, reason.partition(":")[0]] += 1
        key = (path, view.PATH, reason)
        if key not in self._logged:
            if len(self._logged) >= _MOST_LOGGED:
                self._logged.clear()
            self._logged.add(key)
            log.warning("%s for %r: %s; showing the last good value or the host's", view.PATH, path, reason)


def _unsupported(view: View) -> OSError:
    return OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP), view.PATH)
