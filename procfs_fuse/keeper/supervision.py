"""The keeper: mounts, holds the descriptors, sees to it that somebody serves, and ends it all.

It does as little as possible: normal requests never pass through it, it looks at no cgroup and at no container, and it
never waits for a worker. Only when nobody serves for a while it answers EIO itself, so that readers do not hang.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import time
from collections.abc import Mapping
from typing import Any, Final

from procfs_fuse.keeper import journal as journals
from procfs_fuse.keeper.crew import Crew
from procfs_fuse.keeper.holdings import Holdings
from procfs_fuse.keeper.journal import CONNECTIONS, SLOTS, Journal
from procfs_fuse.keeper.refusal import Refusal
from procfs_fuse.keeper.watchdog import SAMPLES, CpuShare, Watchdog
from procfs_fuse.transport import mounting
from procfs_fuse.transport.kernel import Connection
from procfs_fuse.transport.loop import Loop
from procfs_fuse.transport.negotiation import Negotiated

REFUSING_SECONDS: Final = 5.0
"""So long readers wait for somebody who serves; then they get EIO."""

GIVING_UP_SECONDS: Final = 30.0
"""So long without anybody who serves: then the connections are aborted."""

_INIT_SECONDS: Final = 5.0
_PAUSE_SECONDS: Final = 0.002
_TICK_SECONDS: Final = 0.5  # everything that is urgent comes as an event

log = logging.getLogger(__name__)


def connect(name: str, mountpoint: str, source: str) -> tuple[int, Negotiated]:
    """Mount one connection and do what is done once in its life; returns its descriptor. Raises OSError."""
    cached = name == "cached"
    fd = mounting.open_device()
    try:
        # Read-only, or else each cached read would age the access time, which costs the next fstat a question.
        mounting.mount(fd, mountpoint, source, read_only=cached)
        return fd, Connection(fd, Refusal(cached=cached)).wait_until_negotiated(_INIT_SECONDS)
    except OSError:
        os.close(fd)
        raise


class Supervision:
    """Watches over a crew until both mounts are gone or nobody can serve them."""

    def __init__(self, loop: Loop, holdings: Holdings, estate: Mapping[str, object], request_seconds: float) -> None:
        self.loop = loop
        self.holdings = holdings
        self._journal = Journal(holdings.journal)
        self.crew = Crew(self._journal, loop, estate, holdings.all())
        self._watchdog = Watchdog()
        self._cpu_share = CpuShare()
        self._poll = select.poll()
        for name in CONNECTIONS:
            self._poll.register(getattr(holdings, name), select.POLLIN)
        self._refusing: list[Connection] = []
        self.gave_up = False
        """Whether nobody could serve for `GIVING_UP_SECONDS`."""
        self.crew.before_order = self._stop_refusing  # never two who answer
        loop.call_every(request_seconds / SAMPLES, self._look_for_hanging)
        loop.call_every(_TICK_SECONDS, self.tick)

    def reap(self) -> None:
        """Collect children that have ended."""
        with contextlib.suppress(ChildProcessError):
            while (pid := os.waitpid(-1, os.WNOHANG)[0]) != 0:
                self.crew.reaped(pid)
        if self.crew.over:
            self.loop.stop()
        self._refuse_or_not()

    def tick(self) -> None:
        """Look after everything, also after what ended while a signal could be missed."""
        self.reap()
        self.crew.tick()

    def close(self, patience_seconds: float) -> None:
        """End all workers, and wait that long for their end; the descriptors stay open."""
        children = [*self.crew.pids, self.crew.recruiting.pid]
        self.crew.stop()
        self._stop_refusing()
        deadline = time.monotonic() + patience_seconds
        for pid in filter(None, children):
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(pid, os.WNOHANG)[0] == 0 and time.monotonic() < deadline:
                    time.sleep(_PAUSE_SECONDS)

    # ------------------------------------------------------------------------------------- internals

    def _look_for_hanging(self) -> None:
        one = self.crew.serving
        if one is None or one.slot is None:
            return
        busy = any(self._journal.under_way(one.slot, name) for name in CONNECTIONS)
        last = (one.pid, self._journal.last(one.slot))
        waiting = any(events & select.POLLIN for _, events in self._poll.poll(0))
        starved = self._cpu_share.is_starved(one.pid)
        if self._watchdog.look(last, has_work=busy or waiting, is_starved=starved):
            log.error("worker %d hangs, and is replaced", one.pid)
            self.crew.kill(one, hung=True)

    def _refuse_or_not(self) -> None:
        since = self.crew.idle_since
        idle = 0.0 if since is None else time.monotonic() - since
        if idle > GIVING_UP_SECONDS:
            log.error("nobody could serve for %g seconds: giving up", GIVING_UP_SECONDS)
            self.gave_up = True
            self.loop.stop()
        elif idle > REFUSING_SECONDS and not self._refusing and self.crew.serving is None:
            self._start_refusing()

    def _start_refusing(self) -> None:
        log.error("nobody serves: readers get EIO")
        charter = self._journal.charter()
        for name in CONNECTIONS:
            negotiated = Negotiated.unpack(bytes.fromhex(charter["negotiated"][name]))
            connection = Connection(getattr(self.holdings, name), Refusal(cached=name == "cached"), negotiated)
            for slot in range(SLOTS):
                if unique := self._journal.under_way(slot, name):
                    connection.refuse(unique)
            with contextlib.suppress(OSError):
                connection.notifier.resend()
            self.loop.add_connection(connection, lambda: None)
            self._refusing.append(connection)

    def _stop_refusing(self) -> None:
        for connection in self._refusing:
            with contextlib.suppress(KeyError):  # finished by itself
                self.loop.remove_connection(connection)
        self._refusing.clear()


def make_journal(negotiated: Mapping[str, Negotiated], about: Mapping[str, Any]) -> int:
    """Make the journal of new connections; returns its descriptor."""
    fd = journals.create()
    journal = Journal(fd)
    journal.set_charter({"negotiated": {name: one.pack().hex() for name, one in negotiated.items()}, **about})
    journal.close()
    return fd
