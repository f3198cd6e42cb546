"""One serving process: the model, both file systems, both connections, and the loop that keeps them going.

Everything that touches the machine's ``/proc`` is opened before anything is mounted. State that must outlive the
process (slots, CPU accounts, load averages) is kept in ``<state_dir>/state.json``.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from cgroup_model.callers import Callers
from cgroup_model.collect import Collector
from cgroup_model.engines import container_path, match
from cgroup_model.hierarchy import Tree
from cgroup_model.history import History
from cgroup_model.host import HostFiles as HostReader
from cgroup_model.mounts import OutOfSight, discover_mounts
from cgroup_model.procfs import Proc
from cgroup_model.snapshot import Policy
from cgroup_model.source import CgroupGone, Source
from procfs_fuse.contents import Contents, HostFiles
from procfs_fuse.filesystem import CachedFileSystem, Containers, OpenFileSystem
from procfs_fuse.identity import SlotTable
from procfs_fuse.layout import Layout
from procfs_fuse.selection import Selection
from procfs_fuse.transport import mounting
from procfs_fuse.transport.kernel import Connection
from procfs_fuse.transport.loop import Loop
from procfs_fuse.triggers import Triggers
from procfs_fuse.views import TREES, VIEWS

_UPKEEP_SECONDS = 10.0
_INIT_SECONDS = 5.0

log = logging.getLogger(__name__)


def _container_id(path: str) -> str | None:
    found = match(path)
    return found.id if found is not None else None


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
        self.containers_mountpoint = os.path.join(state_dir, "containers")
        self._state_file = os.path.join(state_dir, "state.json")
        chosen = (selection or Selection()).of({**VIEWS, **TREES})
        views = [view for path, view in VIEWS.items() if path in chosen]
        trees = [tree for path, tree in TREES.items() if path in chosen]
        self.source = Source()
        mounts = discover_mounts(proc_root)
        self.tree = Tree(
            mounts, self.source, container_path=container_path, container_id=_container_id, proc_root=proc_root
        )
        self._proc = Proc(proc_root)
        self.history = History(self.tree, self.source, self._proc)
        self._host_reader = HostReader(proc_root, sys_root)
        self.collector = Collector(self.tree, self.source, self._host_reader, policy, self.history)
        self._host_files = HostFiles(views, proc_root=proc_root, sys_root=sys_root)
        self.contents = Contents(self.collector, self._host_files)
        self._containers = Containers(self.tree, SlotTable())
        layout = Layout(views, trees)
        callers = Callers(self.tree, self._proc, container_path)
        self.loop = Loop()
        self._triggers = Triggers(self.loop)
        self._open = OpenFileSystem(layout, self._containers, self.contents, callers.container_of, self._triggers)
        self._cached = CachedFileSystem(
            layout, self._containers, self.contents, open_mountpoint=mountpoint, ttl_ns=ttl_ms * 1_000_000
        )
        self._connections: dict[str, Connection] = {}
        self._sampler = threading.Thread(target=self._sample_loads, name="load-sampler", daemon=True)
        self._ended = threading.Event()
        self._load_state()

    def start(self) -> None:
        """Mount both connections. Raises OSError, with a text that says what to do, when that is not possible."""
        self._connect("open", self.mountpoint, self._open)
        self._triggers.notify = self._connections["open"].notifier.wake_poller
        self._connect("cached", self.containers_mountpoint, self._cached)
        self.tree.containers()
        watch = self.tree.fileno()
        if watch is not None:
            self.loop.add_reader(watch, self.tree.process_events)
        self.loop.call_every(_UPKEEP_SECONDS, self._upkeep)

    def run(self) -> None:
        """Serve until both are unmounted or `stop` is called."""
        self._sampler.start()
        try:
            self.loop.run()
        finally:
            self._save_state()

    def stop(self) -> None:
        """Make `run` return. May be called from a signal handler."""
        self.loop.stop()

    def close(self) -> None:
        """Release everything; whatever is still mounted is dead from here on."""
        self._ended.set()
        if self._sampler.is_alive():
            self._sampler.join()
        for connection in self._connections.values():
            connection.notifier.close()
            with contextlib.suppress(OSError):
                os.close(connection.fd)
        self.loop.close()
        self.tree.close()
        self.source.close()
        self._host_reader.close()
        self._host_files.close()
        self._proc.close()

    def status(self) -> dict[str, Any]:
        """Counters and sizes, as JSON types."""
        return {
            "world": self.tree.mounts.world,
            "containers": len(self.tree.containers()),
            "passthrough": self.contents.passthrough,
            "policy": asdict(self.collector.policy),
            "open_files": self._open.open_handles,
            "requests": {name: sum(connection.requests) for name, connection in self._connections.items()},
            "errors": dict(self.loop.problems.counts),
            "fallbacks": [
                {"file": file, "reason": reason, "count": count}
                for (file, reason), count in sorted(self.contents.fallbacks.items())
            ],
            "unreadable": [
                {"part": part, "reason": reason, "count": count}
                for (part, reason), count in sorted(self.collector.problems.items())
            ],
            "descriptors": len(os.listdir("/proc/self/fd")),
        }

    # ----------------------------------------------------------------------------------- internals

    def _connect(self, name: str, mountpoint: str, filesystem: OpenFileSystem | CachedFileSystem) -> None:
        fd = mounting.open_device()
        try:
            # Read-only, or else each cached read would age the access time, which costs the next fstat a question.
            mounting.mount(fd, mountpoint, mounting.source_of(self.mountpoint), read_only=filesystem.cached)
        except OSError:
            os.close(fd)
            raise
        connection = Connection(fd, filesystem, problems=self.loop.problems)
        self._connections[name] = connection
        connection.wait_until_negotiated(_INIT_SECONDS)
        self.loop.add_connection(connection)

    def _upkeep(self) -> None:
        """Forget containers that are gone, and look whether any came without notice."""
        self.tree.refresh()
        slots = self._containers.slots
        alive = {key for key in (*slots.known(), *self.history.known()) if self._lives(*key)}
        slots.keep_only(alive)
        self._cached.keep_only(set(slots.known().values()))
        self.contents.keep_only(alive)
        self.history.keep_only(alive)
        self._save_state()

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

    def _save_state(self) -> None:
        data = {"slots": self._containers.slots.to_json(), "history": self.history.to_json()}
        try:
            _write_json(self._state_file, data)
        except OSError as error:
            log.warning("cannot write %s: %s", self._state_file, error.strerror)

    def _load_state(self) -> None:
        data = _read_json(self._state_file)
        self._containers.slots.from_json(data.get("slots"))
        self.history.from_json(data.get("history"))


def _read_json(path: str) -> Mapping[str, object]:
    """A JSON object from a file; empty when there is none or it is damaged."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            data = json.load(file)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        log.warning("%s is damaged (%s): counters of running containers start again", path, error)
        return {}
    return data if isinstance(data, dict) else {}


def _write_json(path: str, data: object) -> None:
    """Replace a file in one step: a crash leaves the old or the new one, never half of it."""
    temporary = f"{path}.new"
    with open(temporary, "w", encoding="utf-8", errors="surrogateescape") as file:
        json.dump(data, file)
    os.replace(temporary, path)
