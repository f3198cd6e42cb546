"""The serving process: from the claim on an instance to the clean end of its mounts.

Order matters: the lock first (one server per mount point), then the mounts, then the control socket, then the record
that lets others find us; and backwards at the end.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cgroup_model.snapshot import Policy
from cgscope.errors import Failure
from procfs_fuse import mountpoint as mountpoints
from procfs_fuse import syscalls
from procfs_fuse.control_socket import Server
from procfs_fuse.instances import USERS_LOCK, Claim, Instance
from procfs_fuse.selection import Selection
from procfs_fuse.service import Service

DEFAULT_STOP_SECONDS: Final = 5.0

_UNUSED_CHECK_SECONDS: Final = 2.0  # only for launchers that were killed: the others tell us
_STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_SWITCH_SIGNAL: Final = signal.SIGUSR2  # what LXCFS takes, too

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """What is served, where."""

    mountpoint: str
    directory: str  # of the instance's state
    ttl_ms: int = 10
    policy: Policy = field(default_factory=Policy)
    automatic: bool = False
    selection: Selection = field(default_factory=Selection)
    pidfile: str | None = None


def serve(settings: Settings, on_ready: Callable[[], None] = lambda: None) -> None:
    """Mount and serve until unmounted or told to stop; raises OSError or Failure when it cannot begin."""
    syscalls.set_process_name("procfs-fuse")  # for ps and top, instead of python3
    claim = Claim(settings.directory)
    try:
        instance = Instance(
            settings.directory, settings.mountpoint, os.getpid(), time.time(), automatic=settings.automatic
        )
        os.makedirs(instance.containers, mode=0o700, exist_ok=True)
        service = Service(
            mountpoint=settings.mountpoint,
            state_dir=settings.directory,
            ttl_ms=settings.ttl_ms,
            policy=settings.policy,
            selection=settings.selection,
        )
        try:
            service.start()
            with _pidfile(settings.pidfile):
                _Daemon(service, instance).run(claim, on_ready)
        finally:
            for path in (instance.mountpoint, instance.containers):
                mountpoints.detach(path)
            service.close()
    finally:
        claim.release()


class _Daemon:
    """A service with its ways to be stopped: signals, the control socket, the end of its last user."""

    def __init__(self, service: Service, instance: Instance) -> None:
        self._service = service
        self._instance = instance
        self._stopping = False
        self._users = _open_users(instance.directory) if instance.automatic else None

    def run(self, claim: Claim, on_ready: Callable[[], None]) -> None:
        """Serve until the end."""
        operations = {
            "status": self._status,
            "unmount": self._unmount,
            "release": self._release,
            "passthrough": self._passthrough,
        }
        control = Server(self._instance.control, self._service.loop, operations)
        wakeup = self._watch_signals()
        if self._users is not None:
            self._service.loop.call_every(_UNUSED_CHECK_SECONDS, self._stop_when_unused)
        claim.publish(self._instance)
        on_ready()
        log.info("serving %s", self._instance.mountpoint)
        try:
            self._service.run()
        finally:
            signal.set_wakeup_fd(-1)
            wakeup.close()
            control.close()
        log.info("stopped serving %s", self._instance.mountpoint)

    def stop(self, patience_seconds: float) -> list[str]:
        """Unmount; go on serving programs that still use the files, but no longer than that. Returns what was busy."""
        if self._stopping:
            self._service.stop()
            return []
        self._stopping = True
        paths = (self._instance.mountpoint, self._instance.containers)
        busy = [path for path in paths if not mountpoints.unmount(path)]
        if patience_seconds > 0:
            self._service.loop.call_every(patience_seconds, self._service.stop)
        else:
            self._service.stop()
        return busy

    def _watch_signals(self) -> socket.socket:
        """Turn signals into events of the loop: a Python handler alone would wait for a request to wake us."""
        reader, writer = socket.socketpair()
        reader.settimeout(0)
        writer.settimeout(0)
        for number in (*_STOP_SIGNALS, _SWITCH_SIGNAL):
            signal.signal(number, lambda *_: None)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.set_wakeup_fd(writer.fileno())
        self._wakeup_writer = writer  # the descriptor lives as long as its owner

        def wake() -> None:
            signals = reader.recv(16)  # their numbers, a byte each (signal.set_wakeup_fd)
            if signals.count(_SWITCH_SIGNAL) % 2:
                self._service.contents.switch(passthrough=not self._service.contents.passthrough)
            if set(signals) & set(_STOP_SIGNALS):
                self.stop(DEFAULT_STOP_SECONDS)

        self._service.loop.add_reader(reader.fileno(), wake)
        return reader

    def _status(self, _request: Mapping[str, Any]) -> dict[str, Any]:
        about = {
            "mountpoint": self._instance.mountpoint,
            "state_dir": self._instance.directory,
            "pid": self._instance.pid,
            "uptime_seconds": round(time.time() - self._instance.started_at, 3),
            "transport": self._instance.transport,
            "automatic": self._instance.automatic,
        }
        return {**about, **self._service.status()}

    def _unmount(self, request: Mapping[str, Any]) -> dict[str, Any]:
        patience = request.get("patience_seconds")
        return {"busy": self.stop(float(patience) if isinstance(patience, int | float) else DEFAULT_STOP_SECONDS)}

    def _passthrough(self, request: Mapping[str, Any]) -> dict[str, Any]:
        if not isinstance(request.get("on"), bool):
            raise Failure("passthrough is on or off")
        self._service.contents.switch(passthrough=request["on"])
        return {"passthrough": self._service.contents.passthrough}

    def _release(self, _request: Mapping[str, Any]) -> dict[str, Any]:
        return {"stopping": self._stop_when_unused()}

    def _stop_when_unused(self) -> bool:
        """Stop if no launcher holds the users' lock; from then on we hold it, so that a new one waits for our end."""
        if self._users is None or self._stopping:
            return self._stopping
        try:
            fcntl.flock(self._users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        self.stop(DEFAULT_STOP_SECONDS)
        return True


@contextlib.contextmanager
def _pidfile(path: str | None) -> Iterator[None]:
    """Keep our process id in a file for as long as we serve."""
    if path is None:
        yield
        return
    with open(path, "w", encoding="ascii") as file:
        file.write(f"{os.getpid()}\n")
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.unlink(path)


def _open_users(directory: str) -> int:
    return os.open(os.path.join(directory, USERS_LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
