"""The agent as a whole: a holder, its workers, the socket where listeners arrive and the one that tells its state."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from cgscope.errors import Failure
from procfs_fuse import rights
from procfs_fuse.control_socket import listen
from procfs_fuse.instances import Registry
from procfs_fuse.seccomp import handover, listeners, monitor
from procfs_fuse.seccomp.holder import GO, READY, Holder, Limits
from procfs_fuse.seccomp.journal import Slot
from procfs_fuse.seccomp.listeners import Listener
from procfs_fuse.seccomp.reception import Monitors, Reception
from procfs_fuse.seccomp.truth import Truth
from procfs_fuse.seccomp.words import metadata, parse_metadata
from procfs_fuse.seccomp.worker import Worker
from procfs_fuse.transport.loop import Loop

_IDLE_CHECK_SECONDS: Final = 1.0
_LINGER_SECONDS: Final = 10.0  # the next container of a launcher finds us still there
_ORPHAN_SECONDS: Final = 1.0  # between two looks of a worker without holder for another agent

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """What an agent is to do."""

    socket_path: str
    registry: Registry
    mountpoint: str | None = None  # of the instance to ask; None: the only one
    affinity: bool = False  # for every container; else for those whose metadata says so
    limits: Limits = field(default_factory=Limits)
    listening: int | None = None  # descriptor of the socket, if a launcher made it; then we end when we are idle


def serve(settings: Settings, on_ready: Callable[[], None] = lambda: None) -> None:
    """Serve until told to stop, or, for launchers, until idle. Raises Failure when another agent serves the socket."""
    with contextlib.ExitStack() as stack:
        if settings.listening is None:
            stack.enter_context(_claim(settings.socket_path))
            with handover.door(settings.socket_path):
                listening = listen(settings.socket_path)
            for_lxc = listen(handover.lxc_path(settings.socket_path), socket.SOCK_SEQPACKET)
        else:
            listening, for_lxc = socket.socket(fileno=settings.listening), None
        rights.answer()
        _Agent(settings, listening, for_lxc).run(on_ready)


class _Agent:
    def __init__(self, settings: Settings, listening: socket.socket, for_lxc: socket.socket | None) -> None:
        self._settings = settings
        paths = [settings.socket_path, *([handover.lxc_path(settings.socket_path)] if for_lxc else [])]
        self._own_sockets = {path: _identity(path) for path in paths}
        self._loop = Loop()
        self._holder = Holder(self._loop, self._work, settings.limits)
        self._reception = Reception(self._loop, listening, self._take, self._status)
        self._monitors = Monitors(self._loop, for_lxc, self._take_monitor) if for_lxc else None

    def run(self, on_ready: Callable[[], None]) -> None:
        wakeup = self._watch_signals()
        if self._settings.listening is not None:
            self._loop.call_every(_IDLE_CHECK_SECONDS, self._end_when_idle)
        on_ready()
        log.info("waiting for containers on %s", self._settings.socket_path)
        try:
            self._loop.run()
        finally:
            signal.set_wakeup_fd(-1)
            wakeup.close()
            self._reception.close()
            if self._monitors is not None:
                self._monitors.close()
            self._unlink()
            if self._holder.count:
                log.warning("ending: sysinfo(2) fails from now on in %d running containers", self._holder.count)
            self._holder.close()

    def _take(self, descriptor: int, name: str, words: str) -> None:
        affinity, service = parse_metadata(words)
        self._holder.take(descriptor, name, affinity=affinity or self._settings.affinity, service=service)

    def _take_monitor(self, connection: int, name: str) -> None:
        self._holder.take_monitor(connection, name, affinity=self._settings.affinity)

    def _status(self) -> dict[str, object]:
        about: dict[str, object] = {"pid": os.getpid(), "socket": self._settings.socket_path}
        return {**about, "automatic": self._settings.listening is not None, **self._holder.status()}

    def _work(self, slot: Slot, served: list[Listener], channel: socket.socket) -> None:
        """In a new worker."""
        worker = Worker(slot, Truth(self._settings.registry, self._settings.mountpoint))
        for listener in served:
            worker.add(listener)
        channel.send(READY)
        if channel.recv(len(GO)) != GO:
            return
        worker.recover()
        worker.loop.add_reader(channel.fileno(), lambda: self._hear(worker, channel))
        worker.loop.run()

    def _hear(self, worker: Worker, channel: socket.socket) -> None:
        listener = listeners.receive(channel)
        if listener is not None:
            worker.add(listener)
            return
        # The holder was killed. We are the last to have the listeners: serve on until there is another agent.
        log.warning("the holder is gone: a worker serves on alone")
        worker.loop.remove_reader(channel.fileno())
        worker.loop.call_every(_ORPHAN_SECONDS, lambda: self._hand_on(worker))

    def _hand_on(self, worker: Worker) -> None:
        with contextlib.suppress(OSError):
            for listener in list(worker.listeners.values()):
                if listener.by_monitor:
                    self._send_away(worker, listener)
                    continue
                words = metadata(affinity=listener.affinity, service=listener.service)
                handover.deliver(self._settings.socket_path, listener.descriptor, listener.label, words)
                worker.remove(listener)
        if not worker.listeners:
            worker.loop.stop()

    def _send_away(self, worker: Worker, listener: Listener) -> None:
        """Have LXC's monitor connect to the agent that is there now, as it does when it cannot send."""
        if handover.is_served(self._settings.socket_path):
            monitor.refuse(listener.descriptor)
            while monitor.pass_on(listener.descriptor):  # what it had sent before
                pass
            worker.remove(listener)

    def _watch_signals(self) -> socket.socket:
        """SIGTERM and SIGINT end the loop; others are ignored."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._loop.stop())
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        reader, self._writer = socket.socketpair()
        for end in (reader, self._writer):
            end.settimeout(0)
        signal.set_wakeup_fd(self._writer.fileno())
        self._loop.add_reader(reader.fileno(), lambda: reader.recv(64))
        return reader

    def _end_when_idle(self) -> None:
        if self._holder.count or self._holder.idle_seconds < _LINGER_SECONDS:
            return
        if not os.path.isdir(os.path.dirname(self._settings.socket_path)):  # the state directory was removed
            self._loop.stop()
            return
        with handover.door(self._settings.socket_path):  # nobody is between connecting and sending
            if not self._reception.is_busy():
                self._unlink()
                self._loop.stop()

    def _unlink(self) -> None:
        """Remove the sockets' files, if they are still ours."""
        for path, identity in self._own_sockets.items():
            if identity == _identity(path):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)


@contextlib.contextmanager
def _claim(path: str) -> Iterator[None]:
    descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise Failure(f"another seccomp agent serves {path}", "choose another --socket") from None
    finally:
        os.close(descriptor)


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino
