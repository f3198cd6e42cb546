"""PSI triggers: programs write "some 150000 1000000" to a pressure file and are woken when stalls exceed that.

A trigger is opened on the container's own control file, by the kernel's own means, and what it reports is passed on to
whoever polls the virtual file. Documentation/accounting/psi.rst; kernel/sched/psi.c, psi_trigger_create().
"""

from __future__ import annotations

import errno
import os
import re
import select
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

ALWAYS_READY: Final = select.POLLIN | select.POLLOUT | select.POLLRDNORM | select.POLLWRNORM
"""What the kernel says for files without news (DEFAULT_POLLMASK of include/linux/poll.h)."""

_TRIGGER: Final = re.compile(rb"(some|full) (\d{1,9}) (\d{1,9})[\n\0]?\Z")
_LEAST_WINDOW_USEC: Final = 500_000
_MOST_WINDOW_USEC: Final = 10_000_000
_UNPRIVILEGED_WINDOW_USEC: Final = 2_000_000  # PSI_FREQ; since Linux 6.5 ("sched/psi: Allow unprivileged polling …")
_MOST: Final = 256  # each is a descriptor here and work for a kernel thread


class Loop(Protocol):
    """What is asked of an event loop."""

    def add_reader(self, fd: int, callback: Callable[[], object], events: int = ..., /) -> None:
        """Call ``callback`` when one of the events happens."""

    def remove_reader(self, fd: int, /) -> None:
        """Stop doing so."""


@dataclass(slots=True)
class Trigger:
    """One trigger, from the write to the close of a file."""

    descriptor: int
    news: int = 0  # POLLPRI after it fired, POLLERR when the container is gone
    poller: int | None = None  # the kernel's handle of who waits


class Triggers:
    """All triggers of a file system. ``notify`` wakes a poller; it is set when the connection is there."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._count = 0
        self.notify: Callable[[int], None] = lambda _poller: None

    def make(self, request: bytes, open_file: Callable[[], int]) -> Trigger:
        """Make a trigger of what was written. Raises OSError with the kernel's own errors."""
        kind, threshold, window = _checked(request)
        if self._count >= _MOST:
            raise OSError(errno.EBUSY, "too many triggers")
        descriptor = open_file()
        try:
            _write(descriptor, kind, threshold, window)
            trigger = Trigger(descriptor)
            self._loop.add_reader(descriptor, lambda: self._fired(trigger), select.EPOLLPRI)
        except OSError:
            os.close(descriptor)
            raise
        self._count += 1
        return trigger

    def poll(self, trigger: Trigger, poller: int | None) -> int:
        """What is new since the last time; ``poller`` is to be woken at the next news."""
        trigger.poller = poller
        news = trigger.news
        trigger.news &= select.POLLERR  # gone is gone
        return ALWAYS_READY | news

    def close(self, trigger: Trigger) -> None:
        """Drop a trigger: its file was closed."""
        if not trigger.news & select.POLLERR:
            self._loop.remove_reader(trigger.descriptor)
        os.close(trigger.descriptor)
        self._count -= 1

    def _fired(self, trigger: Trigger) -> None:
        trigger.news |= select.POLLPRI
        if _is_dead(trigger.descriptor):  # the cgroup was removed; the kernel says so for ever
            trigger.news |= select.POLLERR
            self._loop.remove_reader(trigger.descriptor)
        if trigger.poller is not None:
            poller, trigger.poller = trigger.poller, None
            self.notify(poller)


def _checked(request: bytes) -> tuple[bytes, int, int]:
    """Take a request apart. Raises OSError EINVAL for what the kernel would refuse, or misunderstand."""
    match = _TRIGGER.match(request)
    if match is not None:
        threshold, window = int(match[2]), int(match[3])
        if _LEAST_WINDOW_USEC <= window <= _MOST_WINDOW_USEC and 0 < threshold <= window:
            return match[1], threshold, window
    raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))


def _write(descriptor: int, kind: bytes, threshold: int, window: int) -> None:
    """Write a trigger; without CAP_SYS_RESOURCE the kernel takes windows of whole two seconds only.

    Then the next longer one is written: whatever fires the one that was asked for fires that, too.
    """
    try:
        os.write(descriptor, b"%s %d %d\0" % (kind, threshold, window))
    except OSError as error:
        if error.errno != errno.EINVAL or window % _UNPRIVILEGED_WINDOW_USEC == 0:
            raise
        longer = -(-window // _UNPRIVILEGED_WINDOW_USEC) * _UNPRIVILEGED_WINDOW_USEC
        os.write(descriptor, b"%s %d %d\0" % (kind, threshold, longer))


def _is_dead(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(events & select.POLLERR for _, events in poll.poll(0))
