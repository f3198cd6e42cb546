"""The workers: one serves, one stands by, and those that died or hang give up their places.

Nothing here waits. A worker takes over only when its predecessor has been reaped, so that never two of them answer from
one slot of the journal; one that the kernel does not let die (it is stuck in a system call) keeps its slot, and the
next gets another.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from procfs_fuse.keeper.channel import Channel, Closed
from procfs_fuse.keeper.journal import SLOTS, Journal
from procfs_fuse.keeper.recruiting import Loop, Recruiting
from procfs_fuse.priority import weigh_session

_FENCE_SECONDS: Final = 2.0  # a killed process that is still there after that is stuck in the kernel
_FORK_SECONDS: Final = 15.0  # a worker that has said nothing after that never will, nor will its nursery do better
_HANGING: Final = 2  # deaths that a hung worker counts for, see `worker.MOST_DEATHS`

log = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class Member:
    """A worker."""

    channel: Channel
    since: float  # CLOCK_MONOTONIC, when it got what it is to do now
    pid: int = 0  # 0 until it has told
    slot: int | None = None  # set from the order to serve on
    serving: bool = False
    retiring: bool = False
    over: bool = False  # it saw the end of both mounts
    silent: bool = False  # its end of the channel is closed
    killed_at: float | None = None
    deaths: int = 1  # how many its death counts for


class Crew:
    """All processes that the keeper has started. Call `tick` now and then, and `reaped` for each child that ended."""

    def __init__(
        self,
        journal: Journal,
        loop: Loop,
        estate: Mapping[str, object],
        keep: tuple[int, ...],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``estate`` and ``keep`` are what a nursery is told, and the descriptors that it inherits."""
        self._journal = journal
        self._loop = loop
        self._clock = clock
        self.recruiting = Recruiting(loop, estate, keep, clock, self.tick)
        self.workers: list[Member] = []
        self.restarts = 0
        """How often somebody else had to go on serving."""
        self.hung = 0
        """How many workers were killed because they hung."""
        self.passthrough = False
        self.over = False
        """Whether a worker saw the end of both mounts."""
        self.idle_since: float | None = clock()
        """Since when nobody serves; None while somebody does."""
        self.on_serving: Callable[[], object] = lambda: None
        """Called whenever a worker has begun to serve."""
        self.before_order: Callable[[], object] = lambda: None
        """Called before a worker is told to serve."""
        self._next_deaths = 1
        self._stopping = False

    # --------------------------------------------------------------------------------------- who is there

    @property
    def serving(self) -> Member | None:
        """The worker that serves, or was told to."""
        return next((one for one in self.workers if one.slot is not None and one.killed_at is None), None)

    @property
    def standby(self) -> Member | None:
        """A worker that is ready to."""
        free = (one for one in self.workers if one.slot is None and one.pid and not one.killed_at and not one.retiring)
        return next(free, None)

    @property
    def pids(self) -> list[int]:
        """Of the workers, the one that serves first."""
        found = sorted((one for one in self.workers if one.pid), key=lambda one: (one.slot is None, one.since))
        return [one.pid for one in found]

    # ------------------------------------------------------------------------------------------ upkeep

    def tick(self) -> None:
        """See to it that somebody serves and somebody stands by."""
        now = self._clock()
        if self._stopping:
            return
        for one in [one for one in self.workers if not one.pid and now - one.since > _FORK_SECONDS]:
            self._forget(one)
            self.recruiting.kill()
        self.recruiting.tick()
        if not self.recruiting.may_try:
            return
        if self.serving is None:
            self._promote()
        if self.standby is None and all(one.pid for one in self.workers) and (channel := self.recruiting.order()):
            self._add(Member(channel, now))

    def kill(self, one: Member, *, hung: bool = False) -> None:
        """End a worker now; somebody else takes over when it is reaped."""
        one.killed_at = self._clock()
        one.deaths = _HANGING if hung else 1
        self.hung += hung
        if one.slot is not None and self.idle_since is None:
            self.idle_since = self._clock()
        if one.pid:
            _kill(one.pid)

    def reaped(self, pid: int) -> None:
        """Take note that a child has ended."""
        self.recruiting.reaped(pid)
        for one in [one for one in self.workers if one.pid == pid]:
            self._hear(one)  # its last words
            self._forget(one)
            if one.slot is not None and not self._stopping:
                self._replace(one)
        self.tick()

    def stop(self) -> None:
        """Kill everybody."""
        self._stopping = True
        self.recruiting.drop()
        for one in self.workers:
            self.kill(one)

    def tell(self, message: dict[str, object]) -> None:
        """Tell the worker that serves."""
        if (serving := self.serving) is not None:
            serving.channel.send(message)

    # -------------------------------------------------------------------------------- across an upgrade

    def to_json(self) -> list[dict[str, object]]:
        """The workers for the program that is executed next in this process; their channels become inheritable."""
        told: list[dict[str, object]] = []
        for one in self.workers:
            if one.pid:
                os.set_inheritable(one.channel.fileno(), True)  # noqa: FBT003 - its only form
                told.append({"pid": one.pid, "channel": one.channel.fileno(), "slot": one.slot})
        return told

    def adopt(self, workers: list[dict[str, Any]]) -> None:
        """Take over workers of the program that was executed before in this process, until we have our own."""
        for row in workers:
            os.set_inheritable(row["channel"], False)  # noqa: FBT003 - its only form
            one = Member(Channel(row["channel"]), self._clock(), row["pid"], row["slot"], retiring=True)
            one.serving = one.slot is not None
            self._add(one)
            if one.serving:
                self.idle_since = None

    # ----------------------------------------------------------------------------------------- internals

    def _replace(self, one: Member) -> None:
        self._next_deaths = 0 if one.retiring else one.deaths
        self.restarts += 1
        if self.idle_since is None:
            self.idle_since = self._clock()
        if not one.serving:
            self.recruiting.back_off()  # something is wrong that the next one will meet, too
        log.log(logging.INFO if one.retiring else logging.ERROR, "worker %d has ended; the next serves", one.pid)

    def _promote(self) -> None:
        """Have the one that stands by serve, unless its predecessor may still touch the journal."""
        now = self._clock()
        dying = [one for one in self.workers if one.slot is not None]
        standby = self.standby
        if standby is None or any(now - (one.killed_at or now) < _FENCE_SECONDS for one in dying):
            return
        fenced = {one.slot for one in dying if one.slot is not None}
        free = [slot for slot in range(SLOTS) if slot not in fenced]
        if not free:
            return
        busy = self._journal.busy_slot(free)
        standby.slot = free[0] if busy is None else busy
        standby.since = now
        order = {
            "serve": standby.slot,
            "deaths": self._next_deaths,
            "fenced": sorted(fenced),
            "passthrough": self.passthrough,
        }
        self.before_order()
        if not standby.channel.send(order):
            self.kill(standby)

    def _add(self, one: Member) -> None:
        self.workers.append(one)
        self._loop.add_reader(one.channel.fileno(), lambda: self._hear(one))

    def _hear(self, one: Member) -> None:
        """Take all messages of a worker."""
        for message in self._messages(one):
            if "ready" in message:
                one.pid, one.since = message["ready"], self._clock()
                weigh_session(one.pid, hurried=True)
                self._is_ready()
            if "serving" in message:
                one.serving, self.idle_since = True, None
                weigh_session(one.pid, hurried=False)
                self.recruiting.succeeded()
                log.info("worker %d serves", one.pid)
                self.on_serving()
            if "passthrough" in message:
                self.passthrough = message["passthrough"]
            if "over" in message:
                one.over = self.over = True
        if one in self.workers:
            self.tick()

    def _messages(self, one: Member) -> Iterator[dict[str, Any]]:
        try:
            while not one.silent and (received := one.channel.receive()) is not None:
                yield received[0]
        except Closed:
            if not one.pid:
                self._forget(one)
                self.recruiting.back_off()
                return
            one.silent = True  # it is dying; whoever takes over waits until it is reaped
            self._loop.remove_reader(one.channel.fileno())
            if one.killed_at is None:
                self.kill(one)

    def _is_ready(self) -> None:
        """Somebody stands by: whoever serves with an older version's code may go now."""
        for old in [one for one in self.workers if one.retiring and one.killed_at is None]:
            if old.slot is None:
                self.kill(old)
            else:
                old.channel.send({"retire": True})

    def _forget(self, one: Member) -> None:
        self.workers.remove(one)
        if not one.silent:
            one.silent = True
            self._loop.remove_reader(one.channel.fileno())
        one.channel.close()


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
