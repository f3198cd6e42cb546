"""The event loop: several connections and other descriptors, timers, one thread, adaptive polling.

A wake-up costs more than an answer (about 50 us against 10 us on a virtual machine), and a reader of a file sends
three requests in a row. So after an answer the loop goes on asking for the next request without sleeping, for up to
``spin_ns``, where experience says that one follows (`Anticipation`). With a single CPU that would take time from the
very reader it waits for, and is off.
"""

from __future__ import annotations

import heapq
import logging
import os
import select
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from procfs_fuse.transport.anticipation import Anticipation
from procfs_fuse.transport.kernel import Connection, Finished
from procfs_fuse.transport.problems import Problems

SPIN_NS: Final = 100_000
"""How long to look for the next request before sleeping."""

_NS: Final = 1_000_000_000

_logger = logging.getLogger(__name__)

Callback = Callable[[], object]


def default_spin_ns() -> int:
    """`SPIN_NS` where another CPU can run the reader meanwhile, else 0."""
    return SPIN_NS if len(os.sched_getaffinity(0)) > 1 else 0


@dataclass(order=True, slots=True)
class Timer:
    """A repeated call, returned by `Loop.call_every`."""

    due_ns: int
    interval_ns: int = field(compare=False)
    callback: Callback | None = field(compare=False)

    def cancel(self) -> None:
        """Call no more."""
        self.callback = None


class Loop:
    """Serves connections until they are finished or `stop` is called.

    Only `stop` may be called from other threads or signal handlers.
    """

    def __init__(self, *, spin_ns: int | None = None, problems: Problems | None = None) -> None:
        self.problems = problems or Problems(_logger)
        self._spin_ns = default_spin_ns() if spin_ns is None else spin_ns
        self._epoll = select.epoll()
        self._connections: dict[Connection, Callback | None] = {}
        self._served: dict[int, tuple[Connection, Anticipation]] = {}  # by descriptor
        self._readers: dict[int, Callback] = {}
        self._timers: list[Timer] = []
        self._stopping = False
        self._wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.add_reader(self._wake_fd, lambda: os.eventfd_read(self._wake_fd))

    def add_connection(self, connection: Connection, on_finished: Callback | None = None) -> None:
        """Serve a connection; ``on_finished`` is called once when it was unmounted or aborted."""
        self._epoll.register(connection.fd, select.EPOLLIN)
        self._connections[connection] = on_finished
        self._served[connection.fd] = (connection, Anticipation(self._spin_ns))

    def remove_connection(self, connection: Connection) -> None:
        """Serve a connection no more; its descriptor stays open."""
        del self._connections[connection], self._served[connection.fd]
        self._epoll.unregister(connection.fd)

    def add_reader(self, fd: int, callback: Callback, events: int = select.EPOLLIN) -> None:
        """Call ``callback`` whenever ``fd`` is readable (or what ``events`` says), hung up or in error."""
        self._epoll.register(fd, events)
        self._readers[fd] = callback

    def remove_reader(self, fd: int) -> None:
        """Forget a descriptor given to `add_reader`; call it before closing the descriptor."""
        del self._readers[fd]
        self._epoll.unregister(fd)

    def call_every(self, seconds: float, callback: Callback) -> Timer:
        """Call ``callback`` every so often, first after one interval. Turns missed under load are left out."""
        interval_ns = int(seconds * _NS)
        timer = Timer(time.monotonic_ns() + interval_ns, interval_ns, callback)
        heapq.heappush(self._timers, timer)
        return timer

    @property
    def is_serving(self) -> bool:
        """Whether any connection is not finished."""
        return bool(self._connections)

    def stop(self) -> None:
        """Make `run` return after the request under way."""
        self._stopping = True
        os.eventfd_write(self._wake_fd, 1)

    def close(self) -> None:
        """Free the loop's own descriptors; those that were added stay the caller's."""
        self._epoll.close()
        os.close(self._wake_fd)

    def run(self, *, endless: bool = False) -> None:
        """Serve until `stop` is called or, unless ``endless``, the last connection is finished.

        A loop that never had any waits for `stop`.

        Awake or asleep, one epoll call asks for whatever is ready: a connection that is asked in vain would answer
        with an exception, which costs more than the call, and nobody has to wait until a busy connection is idle.
        """
        self._stopping = False
        serving = bool(self._connections)
        now = awake_until = time.monotonic_ns()
        while not self._stopping and (endless or self._connections or not serving):
            ready = self._epoll.poll(0 if now < awake_until else self._seconds_to_timer(now))
            now = time.monotonic_ns()
            for fd, _events in ready:
                served = self._served.get(fd)
                if served is None:
                    self._call(self._readers.get(fd, _nothing))  # nothing: a callback before removed it
                    continue
                connection, anticipation = served
                anticipation.arrived(now)
                self._serve(connection)
                now = time.monotonic_ns()
                awake_until = anticipation.answered(connection.last_kind, now)
            if self._timers and self._timers[0].due_ns <= now:
                self._run_timers(now)
            serving = serving or bool(self._connections)

    def _serve(self, connection: Connection) -> None:
        """Answer one request."""
        try:
            connection.serve()
        except Finished:
            self._finish(connection)
        except OSError as error:
            self.problems.report("connection: OSError", error)
            self._finish(connection)

    def _finish(self, connection: Connection) -> None:
        on_finished = self._connections[connection]
        self.remove_connection(connection)
        if on_finished is not None:
            self._call(on_finished)

    def _seconds_to_timer(self, now_ns: int) -> float | None:
        return max(0, self._timers[0].due_ns - now_ns) / _NS if self._timers else None

    def _run_timers(self, now_ns: int) -> None:
        timers = self._timers
        while timers and timers[0].due_ns <= now_ns:
            timer = timers[0]
            if timer.callback is None:
                heapq.heappop(timers)
                continue
            timer.due_ns = now_ns + timer.interval_ns
            heapq.heapreplace(timers, timer)
            self._call(timer.callback)

    def _call(self, callback: Callback) -> None:
        try:
            callback()
        except Exception as error:  # noqa: BLE001 - a failing timer or command must not end the service
            self.problems.report(f"callback: {type(error).__name__}", error)


def _nothing() -> None:
    """Stand in for the callback of a descriptor that nobody waits for any more."""
