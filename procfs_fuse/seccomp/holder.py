"""The process that holds the listeners, so that no death of a worker lets a call fail.

When the last descriptor of a listener is closed, the kernel answers every call that it stops with ENOSYS, which
programs like busybox do not check. So the holder does as little as possible: it takes listeners, forks workers, watches
that they get on, and lets the kernel answer itself (CONTINUE) what no worker takes:

* when there has been no worker for `Limits.patience_seconds`, and none is about to be ready;
* what a worker was at when it hung for `Limits.watchdog_seconds` and was killed; if it hung in a container's memory,
  that container's calls for a while, too (a page can be mapped from a file system that never answers).
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from procfs_fuse import syscalls
from procfs_fuse.descriptors import close_all_but
from procfs_fuse.seccomp import listeners, notify
from procfs_fuse.seccomp.journal import ANSWERED, CONTINUED, Journal, Slot
from procfs_fuse.seccomp.listeners import Listener
from procfs_fuse.transport.loop import Loop, Timer

READY: Final = b"ready"
"""A worker's message: it may be given work."""
GO: Final = b"go"
"""The holder's answer: from now on only the worker receives notifications."""

_TICK_SECONDS: Final = 0.5
_MOST_FAILED_STARTS: Final = 3
_PAUSE_SECONDS: Final = 1.0
_STARTING_SECONDS: Final = 2.0  # a worker that has been forked will be there, also on a machine that is busy
_MOST_AT_ONCE: Final = 64  # calls of one container in a row

log = logging.getLogger(__name__)

Work = Callable[[Slot, list[Listener], socket.socket], object]
"""What a worker does: deal with its slot, serve the listeners and those that come over the socket."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long what may take."""

    patience_seconds: float = 0.1  # that calls wait for a worker to be there
    watchdog_seconds: float = 5.0  # for one call
    suspension_seconds: float = 30.0  # of a container whose memory let a worker hang


@dataclass(slots=True)
class _Child:
    """A worker, seen from here."""

    pid: int
    pidfd: int
    slot: Slot
    channel: socket.socket
    told: set[int]  # numbers of the listeners that it has
    is_ready: bool = False
    progress: tuple[int, ...] = ()
    progress_at: float = 0.0


@dataclass(slots=True)
class _Counts:
    """What happened, for `Holder.status`."""

    taken: int = 0
    workers_started: int = 0
    workers_hung: int = 0
    continued: int = 0  # by the holder itself


class Holder:
    """Holds listeners and keeps a worker going. Single-threaded: it forks."""

    def __init__(
        self, loop: Loop, work: Work, limits: Limits | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._loop = loop
        self._work = work
        self._limits = limits or Limits()
        self._clock = clock
        self._journal = Journal()
        self._listeners: dict[int, Listener] = {}
        self._suspended: dict[int, float] = {}  # number -> until when
        self._child: _Child | None = None
        self._hung: dict[int, _Child] = {}  # killed, but not dead yet, by pid
        self._without_worker_since = clock()
        self._failed_starts = 0
        self._next_number = 1
        self._timer: Timer | None = None
        self._timer_seconds = 0.0
        self._counts = _Counts()
        self._idle_since = clock()

    # -------------------------------------------------------------------------------------- listeners

    def take(self, descriptor: int, label: str, *, affinity: bool = False, service: str | None = None) -> None:
        """Hold a listener from now on; its descriptor is ours."""
        notify.prefer_handover(descriptor)
        self._hold(Listener(self._next_number, descriptor, label, affinity, service))

    def take_monitor(self, connection: int, label: str, *, affinity: bool = False) -> None:
        """The same with a connection to a monitor of LXC."""
        self._hold(Listener(self._next_number, connection, label, affinity, by_monitor=True))

    def _hold(self, listener: Listener) -> None:
        self._next_number += 1
        self._counts.taken += 1
        self._listeners[listener.number] = listener
        # 0: only the end (POLLHUP) wakes us
        self._loop.add_reader(listener.descriptor, lambda: self._hung_up(listener), 0)
        log.info("%s: listening", listener.label)
        if self._child is None:
            self._start_worker()
        else:
            self._tell(self._child)
        self._schedule()

    @property
    def count(self) -> int:
        """How many listeners are held."""
        return len(self._listeners)

    @property
    def idle_seconds(self) -> float:
        """Since when the last listener has been gone."""
        return 0.0 if self._listeners else self._clock() - self._idle_since

    def _served(self) -> list[Listener]:
        """Those that a worker may have."""
        return [one for one in self._listeners.values() if one.number not in self._suspended]

    def status(self) -> dict[str, Any]:
        """Counters and sizes, as JSON types."""
        return {
            "listeners": len(self._listeners),
            "suspended": len(self._suspended),
            "worker": self._child.pid if self._child is not None and self._child.is_ready else None,
            "answered": self._journal.total(ANSWERED),
            "continued": self._journal.total(CONTINUED) + self._counts.continued,
            "workers_started": self._counts.workers_started,
            "workers_hung": self._counts.workers_hung,
            "listeners_taken": self._counts.taken,
        }

    def close(self) -> None:
        """Let go of everything. Programs in containers that still run get ENOSYS from now on."""
        if self._child is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._child.pid, signal.SIGKILL)
            os.waitpid(self._child.pid, 0)
        for listener in list(self._listeners.values()):
            os.close(listener.descriptor)
        self._listeners.clear()

    def _hung_up(self, listener: Listener) -> None:
        if not notify.events(listener.descriptor) & select.POLLHUP:
            return
        self._loop.remove_reader(listener.descriptor)
        os.close(listener.descriptor)
        del self._listeners[listener.number]
        self._suspended.pop(listener.number, None)
        log.info("%s: ended", listener.label)
        self._idle_since = self._clock()
        self._schedule()

    # --------------------------------------------------------------------------------------- workers

    def _start_worker(self) -> None:
        used = {child.slot.index for child in self._hung.values()}
        free = [slot for slot in self._journal.slots if slot.index not in used]
        if not free:
            log.error("every worker hangs: the kernel answers until one of them ends")
            return
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        served = self._served()
        try:
            pid = os.fork()
        except OSError as error:  # too many processes: it is tried again
            log.error("no worker can be started: %s", error.strerror)  # noqa: TRY400 - a sentence is enough
            ours.close()
            theirs.close()
            return
        if pid == 0:
            self._become_worker(free[0], served, theirs)
        theirs.close()
        self._counts.workers_started += 1
        told = {listener.number for listener in served}
        child = self._child = _Child(pid, os.pidfd_open(pid), free[0], ours, told, progress_at=self._clock())
        self._loop.add_reader(child.pidfd, lambda: self._reap(child))
        self._loop.add_reader(ours.fileno(), lambda: self._heard(child))

    def _become_worker(self, slot: Slot, served: list[Listener], channel: socket.socket) -> None:
        """Never returns."""
        try:
            syscalls.set_process_name("procfs-sysinfo")
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            close_all_but({channel.fileno(), *(listener.descriptor for listener in served)})
            self._work(slot, served, channel)
        except BaseException:
            log.exception("a worker failed")
        finally:
            os._exit(0)

    def _heard(self, child: _Child) -> None:
        with contextlib.suppress(OSError):
            if child.channel.recv(len(READY)) != READY:
                self._loop.remove_reader(child.channel.fileno())  # the end: its pidfd says the rest
                return
            child.is_ready = True
            self._failed_starts = 0
            child.channel.send(GO)
            self._tell(child)
            self._schedule()

    def _tell(self, child: _Child) -> None:
        """Give it the listeners that it has not got and may have."""
        if not child.is_ready:
            return
        with contextlib.suppress(OSError):  # it is dying: the next one has them from its birth
            for listener in self._served():
                if listener.number not in child.told:
                    listeners.send(child.channel, listener)
                    child.told.add(listener.number)

    def _reap(self, child: _Child) -> None:
        self._loop.remove_reader(child.pidfd)
        with contextlib.suppress(KeyError):
            self._loop.remove_reader(child.channel.fileno())
        os.close(child.pidfd)
        child.channel.close()
        os.waitpid(child.pid, 0)
        if self._hung.pop(child.pid, None) is not None:
            self._give_up(child.slot)  # it may have received one more before it noticed that it was killed
            return
        self._lost(child)
        if self._failed_starts < _MOST_FAILED_STARTS:
            self._start_worker()
        self._schedule()

    def _lost(self, child: _Child) -> None:
        self._child = None
        self._without_worker_since = self._clock()
        if not child.is_ready:
            self._failed_starts += 1
            log.error("a worker ended while it was starting")

    # -------------------------------------------------------------------------------------- watching

    def _schedule(self) -> None:
        """Look as often as somebody might have to wait for us."""
        alone = self._child is None or not self._child.is_ready
        seconds = 0.0
        if self._listeners:
            seconds = min(_TICK_SECONDS, self._limits.patience_seconds) if alone or self._suspended else _TICK_SECONDS
        if seconds == self._timer_seconds:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_every(seconds, self._tick) if seconds else None
        self._timer_seconds = seconds

    def _tick(self) -> None:
        now = self._clock()
        for number in [number for number, until in self._suspended.items() if until <= now]:
            del self._suspended[number]
            if self._child is not None:
                self._tell(self._child)
        child = self._child
        if child is not None and self._hangs(child, now):
            self._abandon(child, now)
        elif child is None and now - self._without_worker_since > _PAUSE_SECONDS:
            self._start_worker()
        for listener in list(self._listeners.values()):
            if listener.number in self._suspended or self._nobody_serves(now):
                self._continue_pending(listener)
        self._schedule()

    def _nobody_serves(self, now: float) -> bool:
        if self._child is not None and self._child.is_ready:
            return False
        patience = self._limits.patience_seconds
        if self._child is not None:
            patience = max(patience, _STARTING_SECONDS)
        return now - self._without_worker_since > patience

    def _hangs(self, child: _Child, now: float) -> bool:
        progress = child.slot.progress()
        busy = child.slot.notification is not None or not child.is_ready or self._any_pending()
        if progress != child.progress or not busy:
            child.progress, child.progress_at = progress, now
        return now - child.progress_at > self._limits.watchdog_seconds

    def _any_pending(self) -> bool:
        return any(notify.events(listener.descriptor) & select.POLLIN for listener in self._served())

    def _abandon(self, child: _Child, now: float) -> None:
        """Kill a worker that does not get on, without waiting for its end: it may never come."""
        log.error("a worker hangs: going on with another")
        self._counts.workers_hung += 1
        os.kill(child.pid, signal.SIGKILL)
        self._hung[child.pid] = child
        culprit = child.slot.listener
        if child.slot.notification is not None and child.slot.is_writing and culprit in self._listeners:
            self._suspended[culprit] = now + self._limits.suspension_seconds
            log.warning("%s: its memory does not take an answer", self._listeners[culprit].label)
        self._give_up(child.slot)
        self._lost(child)
        self._start_worker()

    def _give_up(self, slot: Slot) -> None:
        """Leave to the kernel what a worker was at."""
        listener = self._listeners.get(slot.listener)
        if listener is not None and listener.give_up(slot):
            self._counts.continued += 1
        slot.clear()

    def _continue_pending(self, listener: Listener) -> None:
        """Leave to the kernel what waits now; no more than that, or one container would keep us busy for ever."""
        for _ in range(_MOST_AT_ONCE):
            if not notify.events(listener.descriptor) & select.POLLIN:
                return
            self._counts.continued += listener.pass_on()
