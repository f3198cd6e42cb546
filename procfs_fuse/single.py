"""``procfs-fuse mount --transport fusepy``: one process that serves through libfuse, without a keeper.

libfuse holds the descriptor of the mount by itself, so nobody can go on after this process. What there is of the other
transport is the same: instance, lock, sockets, signals, the container's own tree (below `containers`).
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from cgscope.errors import Failure
from procfs_fuse import mountpoint as mountpoints
from procfs_fuse import syscalls
from procfs_fuse.control_socket import Operation, Server, listen
from procfs_fuse.instances import Claim, Instance
from procfs_fuse.service import Service
from procfs_fuse.settings import Settings
from procfs_fuse.transport import mounting
from procfs_fuse.transport.fusepy import CANNOT, FusepyConnection, Unusable

TRANSPORT: Final = "fusepy"
DEFAULT_STOP_SECONDS: Final = 5.0

log = logging.getLogger(__name__)


def serve(settings: Settings, words: Sequence[str], on_ready: Callable[[], None] = lambda: None) -> None:
    """Serve until unmounted or told to stop, as ``words`` of `mount` said; raises OSError or Failure when it cannot."""
    syscalls.set_process_name("procfs-fuse")
    claim = Claim(settings.directory)
    try:
        server = _Server(settings, words)
        try:
            server.run(claim, on_ready)
        finally:
            server.close()
    except Unusable as error:
        raise Failure(str(error), "or mount with --transport kernel, which needs neither") from error
    finally:
        claim.release()


class _Server:
    """The process with its ways to be stopped: signals and the control socket."""

    def __init__(self, settings: Settings, words: Sequence[str]) -> None:
        self._settings = settings
        self._words = words
        self._instance = Instance(
            settings.directory, settings.mountpoint, os.getpid(), time.time(), transport=TRANSPORT
        )
        self._service = Service(
            mountpoint=settings.mountpoint,
            state_dir=settings.directory,
            ttl_ms=0,
            policy=settings.policy,
            selection=settings.selection,
        )
        filesystem = self._service.begin_alone()
        source = mounting.source_of(settings.mountpoint)
        self._connection = FusepyConnection(settings.mountpoint, filesystem, self._service.loop, fsname=source)
        self._stopping = False

    def run(self, claim: Claim, on_ready: Callable[[], None]) -> None:
        """Mount and serve."""
        self._watch_signals()
        self._connection.start(self._service.stop)
        # What others look for on the cached connection is here on the open one, only not from the page cache.
        _link(os.path.join(self._settings.mountpoint, "containers"), self._instance.containers)
        self._listen()
        claim.publish(self._instance)
        if self._settings.pidfile is not None:
            _write(self._settings.pidfile, f"{os.getpid()}\n")
        on_ready()
        log.info("serving %s through libfuse", self._settings.mountpoint)
        self._service.run()

    def _listen(self) -> None:
        keeper: Mapping[str, Operation] = {"status": self._status, "unmount": self._unmount, "restart": self._restart}
        worker: Mapping[str, Operation] = {
            "status": self._counters,
            "passthrough": self._passthrough,
            "shown": self._service.questions.answer,
        }
        for path, operations in ((self._instance.control, keeper), (self._instance.service, worker)):
            Server(listen(path), self._service.loop, operations)

    def close(self) -> None:
        """Leave nothing behind."""
        for path in (self._instance.containers, self._settings.pidfile):
            if path is not None and (os.path.islink(path) or path == self._settings.pidfile):
                _remove(path)
        mountpoints.detach(self._settings.mountpoint)
        self._service.close()

    def stop(self, patience_seconds: float) -> list[str]:
        """Unmount; go on serving programs that still use the files, but no longer than that. Returns what was busy."""
        if self._stopping:
            self._service.stop()
            return []
        self._stopping = True
        _remove(self._instance.containers)
        busy = [] if mountpoints.unmount(self._settings.mountpoint) else [self._settings.mountpoint]
        if patience_seconds > 0:
            self._service.loop.call_every(patience_seconds, self._service.stop)
        else:
            self._service.stop()
        return busy

    def _watch_signals(self) -> None:
        """Turn signals into events of the loop; before libfuse starts, which replaces no handlers."""
        reader, writer = socket.socketpair()
        reader.settimeout(0)
        writer.settimeout(0)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2, signal.SIGHUP):
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        self._wakeup = (reader, writer)  # the descriptors live as long as their owners

        def wake() -> None:
            signals = reader.recv(64)
            if signals.count(signal.SIGUSR2) % 2:
                self._service.contents.switch(passthrough=not self._service.contents.passthrough)
            if {signal.SIGTERM, signal.SIGINT} & set(signals):
                self.stop(DEFAULT_STOP_SECONDS)

        self._service.loop.add_reader(reader.fileno(), wake)

    def _status(self, _request: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "mountpoint": self._instance.mountpoint,
            "state_dir": self._instance.directory,
            "words": list(self._words),
            "stopping": self._stopping,
            "pid": self._instance.pid,
            "keeper_pid": None,
            "worker_pids": [self._instance.pid],
            "served": True,
            "restarts": 0,
            "repaired": [],
            "uptime_seconds": round(max(0.0, time.time() - self._instance.started_at), 3),
            "transport": TRANSPORT,
            "without": list(CANNOT),
            "automatic": False,
        }

    def _counters(self, _request: Mapping[str, Any]) -> dict[str, Any]:
        return {**self._service.status(), "requests": {"open": self._connection.requests}}

    def _unmount(self, request: Mapping[str, Any]) -> dict[str, Any]:
        patience = request.get("patience_seconds")
        return {"busy": self.stop(float(patience) if isinstance(patience, int | float) else DEFAULT_STOP_SECONDS)}

    def _restart(self, _request: Mapping[str, Any]) -> dict[str, Any]:
        raise Failure("libfuse cannot hand its mounts on", "procfs-fuse umount, then mount again")

    def _passthrough(self, request: Mapping[str, Any]) -> dict[str, Any]:
        if not isinstance(request.get("on"), bool):
            raise Failure("passthrough is on or off")
        self._service.contents.switch(passthrough=request["on"])
        return {"passthrough": request["on"]}


def _link(target: str, path: str) -> None:
    """Put a link in the place of an empty directory or another link."""
    _remove(path)
    os.symlink(target, path)


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
    except IsADirectoryError:
        os.rmdir(path)


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
