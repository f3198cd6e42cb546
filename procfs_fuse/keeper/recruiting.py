"""Where workers come from: the keeper's side of the nursery, and patience after failures."""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from procfs_fuse.background import environment
from procfs_fuse.keeper.channel import Channel, Closed

_START_SECONDS: Final = 60.0  # a nursery that has said nothing after that never will
_FIRST_PAUSE_SECONDS: Final = 0.05
_LONGEST_PAUSE_SECONDS: Final = 2.0

log = logging.getLogger(__name__)


class Loop(Protocol):
    """What is asked of an event loop."""

    def add_reader(self, fd: int, callback: Callable[[], object], /) -> None:
        """Call ``callback`` whenever ``fd`` can be read."""

    def remove_reader(self, fd: int, /) -> None:
        """Stop doing so."""


class Recruiting:
    """One nursery, started anew when it ends. ``on_ready`` is called when it can be asked for workers."""

    def __init__(
        self,
        loop: Loop,
        estate: Mapping[str, object],
        keep: tuple[int, ...],
        clock: Callable[[], float],
        on_ready: Callable[[], object],
    ) -> None:
        """``estate`` and ``keep`` are what the nursery is told, and the descriptors that it inherits."""
        self._loop = loop
        self._estate = estate
        self._keep = keep
        self._clock = clock
        self._on_ready = on_ready
        self.pid = 0
        """Of the nursery, 0 while there is none that could be asked."""
        self._channel: Channel | None = None
        self._started = 0.0
        self._begin = self._fork
        self._pause = _FIRST_PAUSE_SECONDS
        self._not_before = 0.0

    @property
    def may_try(self) -> bool:
        """Whether enough time has passed since something failed."""
        return self._clock() >= self._not_before

    def back_off(self) -> None:
        """Something failed: wait, and longer each time."""
        self._not_before = self._clock() + self._pause
        self._pause = min(2 * self._pause, _LONGEST_PAUSE_SECONDS)

    def succeeded(self) -> None:
        """A worker serves: the next failure is the first again."""
        self._pause = _FIRST_PAUSE_SECONDS

    def tick(self) -> None:
        """See to it that there is a nursery."""
        if self._channel is None and self.may_try:
            self._start()
        elif self._channel is not None and not self.pid and self._clock() - self._started > _START_SECONDS:
            self.drop()

    def order(self) -> Channel | None:
        """Have a worker forked; returns our end of its channel, None when nobody could be asked."""
        if self._channel is None or not self.pid or (pair := self._pair()) is None:
            return None
        ours, theirs = pair
        try:
            if self._channel.send({"fork": True}, [theirs]):
                return ours
        finally:
            os.close(theirs)
        ours.close()
        return None

    def reaped(self, pid: int) -> None:
        """Take note that a child has ended."""
        if pid == self.pid:
            self.drop()

    def kill(self) -> None:
        """It hangs: have another one."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        self.drop()

    def drop(self) -> None:
        """Let the nursery go: it ends when its channel is closed."""
        if self._channel is None:
            return
        self._loop.remove_reader(self._channel.fileno())
        self._channel.close()
        if not self.pid:
            self.back_off()
        self._channel, self.pid = None, 0

    def _pair(self) -> tuple[Channel, int] | None:
        try:
            return Channel.pair()
        except OSError as error:
            log.error("nobody can be started: %s", error)  # noqa: TRY400 - nobody needs to see where
            self.back_off()
            return None

    def _start(self) -> None:
        if (pair := self._pair()) is None:
            return
        ours, theirs = pair
        begin, self._begin = self._begin, self._execute
        try:
            begin(theirs)
        except OSError as error:
            log.error("cannot start a nursery: %s", error)  # noqa: TRY400 - nobody needs to see where
            ours.close()
            self.back_off()
            return
        finally:
            os.close(theirs)
        self._channel, self._started = ours, self._clock()
        self._loop.add_reader(ours.fileno(), self._hear)

    def _fork(self, channel: int) -> None:
        """Start the first nursery, in which all that we have imported is there, and shared. Raises OSError."""
        gc.collect()
        gc.freeze()  # collecting in the child would copy the pages that are shared
        if os.fork():
            return
        os.setsid()  # it does not come before others, as we do
        try:
            from procfs_fuse.keeper import nursery  # noqa: PLC0415 - the keeper needs nothing of what that imports

            nursery.run_forked(channel, self._estate, self._keep)
        except BaseException:  # whatever it is, this process must not return into the keeper
            log.exception("a nursery could not start")
        finally:
            os._exit(1)

    def _execute(self, channel: int) -> None:
        """Start a later one: by now another version may be installed. Raises OSError."""
        module = ["-m", "procfs_fuse.keeper.nursery", str(channel), json.dumps(dict(self._estate))]
        actions = [(os.POSIX_SPAWN_DUP2, fd, fd) for fd in (*self._keep, channel)]  # onto itself: it is inherited
        every_signal = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
        os.posix_spawn(
            sys.executable,
            [sys.executable, "-P", *module],
            environment(),
            file_actions=actions,
            setsid=True,
            setsigmask=(),
            setsigdef=every_signal,
        )

    def _hear(self) -> None:
        if self._channel is None:
            return
        try:
            received = self._channel.receive()
        except Closed:
            self.drop()
            return
        if received is not None:
            self.pid = received[0].get("ready", 0)
            self._on_ready()
