"""What serves: the model, both file systems, and the loop that keeps both connections going.

A `Service` is made without them, so that it can stand by; `begin` gives it the connections and what an earlier process
left. State that must outlive everybody (slots, CPU accounts, load averages) is in ``<state_dir>/lives``.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from cgroup_model.callers import Callers
from cgroup_model.collect import Collector
from cgroup_model.engines import container_path, match
from cgroup_model.hierarchy import Cgroup, Tree
from cgroup_model.history import History
from cgroup_model.host import HostFiles as HostReader
from cgroup_model.loadavg import PERIOD_SECONDS
from cgroup_model.mounts import OutOfSight, discover_mounts
from cgroup_model.procfs import Proc
from cgroup_model.snapshot import Policy
from cgroup_model.source import CgroupGone, Source
from procfs_fuse.contents import Contents, HostFiles
from procfs_fuse.filesystem import CachedFileSystem, Containers, Forgetful, Kept, OpenFileSystem
from procfs_fuse.identity import SlotTable
from procfs_fuse.keeper.lives import Lives
from procfs_fuse.layout import Layout
from procfs_fuse.questions import Questions
from procfs_fuse.selection import Selection
from procfs_fuse.transport import FileSystem
from procfs_fuse.transport.kernel import Connection
from procfs_fuse.transport.loop import Loop
from procfs_fuse.transport.negotiation import Negotiated
from procfs_fuse.triggers import Triggers
from procfs_fuse.views import TREES, VIEWS

_UPKEEP_SECONDS = 10.0
_SETTLED_SECONDS = 60.0  # containers look once a second, or at their alerts' intervals
_IDLE = (0, 0, 0)

log = logging.getLogger(__name__)


def _container_id(path: str) -> str | None:
    found = match(path)
    return found.id if found is not None else None


@dataclass(frozen=True, slots=True)
class Link:
    """A mounted connection; ``buffer`` and ``kept`` are shared with whoever serves it before and after."""

    fd: int
    negotiated: Negotiated
    buffer: memoryview | None = None
    kept: Kept = field(default_factory=Forgetful)


class Service:
    """Serves one mount point. Single-threaded but for the load sampler."""

    def __init__(
        self,
        *,
        mountpoint: str,
        state_dir: str,
        ttl_ms: int = 10,
        policy: Policy | None = None,
        selection: Selection | None = None,
        proc_root: str = "/proc",
        sys_root: str = "/sys",
    ) -> None:
        self.mountpoint = mountpoint
        self._state_dir = state_dir
        self._ttl_ns = ttl_ms * 1_000_000
        chosen = self._chosen = (selection or Selection()).of({**VIEWS, **TREES})
        self._views = views = [view for path, view in VIEWS.items() if path in chosen]
        trees = [tree for path, tree in TREES.items() if path in chosen]
        self.source = Source(settled_seconds=_SETTLED_SECONDS, remember=True)
        mounts = discover_mounts(proc_root)
        self.tree = Tree(
            mounts, self.source, container_path=container_path, container_id=_container_id, proc_root=proc_root
        )
        self._proc = Proc(proc_root)
        as_steal = policy is not None and policy.throttled_as_steal
        self.history = History(self.tree, self.source, self._proc, keep=self._keep_life, throttled_as_steal=as_steal)
        self._host_reader = HostReader(proc_root, sys_root)
        self.collector = Collector(self.tree, self.source, self._host_reader, policy, self.history)
        self._host_files = HostFiles(views, proc_root=proc_root, sys_root=sys_root)
        self.contents = Contents(self.collector, self._host_files)
        self._containers = Containers(self.tree, SlotTable(self._keep_slot, self._drop_slot))
        self._layout = Layout(views, trees)
        self._callers = Callers(self.tree, self._proc, container_path)
        self.loop = Loop()
        self._triggers = Triggers(self.loop)
        self.connections: dict[str, Connection] = {}
        """By name, open and cached."""
        self._book: Lives | None = None
        self._kept_averages: dict[tuple[str, int], tuple[int, int, int]] = {}
        self._sampler: threading.Thread | None = None
        self._ended = threading.Event()
        self.tree.containers()
        watch = self.tree.fileno()
        if watch is not None:
            self.loop.add_reader(watch, self.tree.process_events)

    def rehearse(self) -> None:
        """Render everything once for some container, and forget it.

        So what is made at its first use, and copies of the memory that is shared with whoever forked us, are there
        when readers wait: that is two thirds of what the first answer costs otherwise.
        """
        history = History(self.tree, self.source, self._proc)
        collector = Collector(self.tree, self.source, self._host_reader, self.collector.policy, history)
        for cgroup in itertools.islice(self.tree.containers().values(), 1):
            for view in self._views:
                with contextlib.suppress(Exception):  # whoever asks for that file will be told
                    view.render(collector.snapshot(cgroup, view.NEEDS))
            self.tree.forget(cgroup.path)

    def begin(self, links: Mapping[str, Link]) -> None:
        """Take over what is known about the containers, and the connections; they are served by `run`."""
        self._restore_lives()
        shared = (self._layout, self._containers, self.contents)
        self._open = OpenFileSystem(*shared, self._callers.container_of, self._triggers, links["open"].kept)
        self._cached = CachedFileSystem(
            *shared, open_mountpoint=self.mountpoint, ttl_ns=self._ttl_ns, kept=links["cached"].kept
        )
        for name, filesystem in (("open", self._open), ("cached", self._cached)):
            link = links[name]
            self.connections[name] = Connection(
                link.fd, filesystem, link.negotiated, buffer=link.buffer, problems=self.loop.problems
            )
        self._triggers.notify = self.connections["open"].notifier.wake_poller
        self._open.restore()
        self._cached.restore()
        for connection in self.connections.values():
            self.loop.add_connection(connection)
        self._start_upkeep()

    def begin_alone(self) -> FileSystem:
        """Begin for a transport of its own, which has the open file system only; returns what it is to serve."""
        self._restore_lives()
        shared = (self._layout, self._containers, self.contents)
        self._open = OpenFileSystem(*shared, self._callers.container_of)
        self._cached = CachedFileSystem(*shared, open_mountpoint=self.mountpoint, ttl_ns=self._ttl_ns)
        self._start_upkeep()
        return self._open

    def _start_upkeep(self) -> None:
        self.loop.call_every(_UPKEEP_SECONDS, self._upkeep)
        self.loop.call_every(PERIOD_SECONDS, self._keep_loads)
        self.resume()

    @property
    def is_over(self) -> bool:
        """Whether nothing is mounted any more."""
        return bool(self.connections) and not self.loop.is_serving

    def run(self) -> None:
        """Serve until both are unmounted or `stop` is called; without connections, only until the latter."""
        self.loop.run()

    def stop(self) -> None:
        """Make `run` return. May be called from a signal handler."""
        self.loop.stop()

    def pause(self) -> None:
        """End all threads but the caller's, so that this process can be forked or closed."""
        self._ended.set()
        if self._sampler is not None:
            self._sampler.join()
            self._sampler = None
        for connection in self.connections.values():
            connection.notifier.close()

    def resume(self) -> None:
        """Start the sampler of load averages; other threads come when they are needed."""
        self._ended.clear()
        self._sampler = threading.Thread(target=self._sample_loads, name="load-sampler", daemon=True)
        self._sampler.start()

    def close(self) -> None:
        """Release everything; the connections' descriptors stay the caller's."""
        self.pause()
        self.loop.close()
        if self._book is not None:
            self._book.close()
            self._book = None
        self.tree.close()
        self.source.close()
        self._host_reader.close()
        self._host_files.close()
        self._proc.close()

    @property
    def questions(self) -> Questions:
        """For those who must agree with the files."""
        return Questions(self._callers.container_of, self.contents, self._cached, self._chosen)

    def status(self) -> dict[str, Any]:
        """Counters and sizes, as JSON types."""
        return {
            "world": self.tree.mounts.world,
            "containers": len(self.tree.containers()),
            "passthrough": self.contents.passthrough,
            "policy": asdict(self.collector.policy),
            "open_files": self._open.open_handles,
            "requests": {name: sum(connection.requests) for name, connection in self.connections.items()},
            "operations": {name: connection.operations for name, connection in self.connections.items()},
            "resends": any(one.negotiated and one.negotiated.has_resend for one in self.connections.values()),
            "errors": dict(self.loop.problems.counts),
            "fallbacks": [
                {"file": file, "reason": reason, "count": count}
                for (file, reason), count in sorted(self.contents.fallbacks.items())
            ],
            "unreadable": [
                {"part": part, "reason": reason, "count": count}
                for (part, reason), count in sorted(self.collector.problems.items())
            ],
            "not_kept": 0 if self._book is None else self._book.refused,
            "descriptors": len(os.listdir("/proc/self/fd")),
        }

    # ----------------------------------------------------------------------------------- internals

    def _upkeep(self) -> None:
        """Forget containers that are gone, and look whether any came without notice."""
        self.tree.refresh()
        slots = self._containers.slots
        alive = {key for key in (*slots.known(), *self.history.known()) if self._lives(*key)}
        slots.keep_only(alive)
        for filesystem in (self._open, self._cached):
            filesystem.keep_only(set(slots.known().values()))
        self.contents.keep_only(alive)
        self.history.keep_only(alive)
        self._kept_averages = {key: kept for key, kept in self._kept_averages.items() if key in alive}

    def _lives(self, path: str, inode: int) -> bool:
        try:
            return self.tree.cgroup(path).inode == inode
        except (CgroupGone, OutOfSight):
            return False

    def _sample_loads(self) -> None:
        while not self._ended.wait(self.history.seconds_to_next_sample()):
            try:
                self.history.sample_loads()
            except Exception:
                log.exception("counting the containers' threads failed")

    # -------------------------------------------------------------------- what outlives this process

    def _restore_lives(self) -> None:
        """Without room for the file everything works, until somebody has to take over."""
        try:
            lives = Lives(os.path.join(self._state_dir, "lives"))
        except OSError as error:
            log.warning("counters of containers will start again after a restart: %s", error)
            return
        self._containers.slots.from_json(lives.slots())
        self.history.from_json(lives.histories())
        lives.forget_loaded()
        self._book = lives

    def _keep_slot(self, slot: int, path: str, inode: int) -> None:
        if self._book is not None:
            self._book.given(slot, path, inode)

    def _drop_slot(self, slot: int) -> None:
        if self._book is not None:
            self._book.gone(slot)

    def _keep_life(self, cgroup: Cgroup, row: list[object]) -> None:
        if self._book is not None:
            self._book.lived(self._containers.slots.slot_of(cgroup), cgroup.path, cgroup.inode, row)

    def _keep_loads(self) -> None:
        """Load averages change without being asked for."""
        slots = self._containers.slots.known()
        for key in self.history.known():
            averages = self.history.averages(*key)
            if self._book is not None and key in slots and self._kept_averages.get(key, _IDLE) != averages:
                self._kept_averages[key] = averages
                self._book.lived(slots[key], *key, self.history.row(*key))
