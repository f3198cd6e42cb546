"""A process that outlives a killed launcher, to remove what it left.

It holds the reading end of a pipe whose other end only the launcher has. A byte means that the launcher has cleaned
up itself; the end of the pipe without one means that it is gone. Until then it may have an errand.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Callable, Collection
from typing import Final

from procfs_fuse.descriptors import close_all_but, detach_standard_streams
from procfs_fuse.launcher.errand import Errand

_DONE: Final = b"."


class Janitor:
    """A running janitor, seen from the launcher."""

    def __init__(self, clean_up: Callable[[], None], keep: Collection[int], errand: Errand | None = None) -> None:
        """Fork it. ``clean_up`` is called in it when we die; it keeps the descriptors (and locks) ``keep`` open."""
        reader, self._writer = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                _wait_and_clean(reader, {reader, *keep}, clean_up, errand)
            finally:
                os._exit(0)
        os.close(reader)

    @property
    def descriptor(self) -> int:
        """Our end of the pipe, which no other child of ours may keep open."""
        return self._writer

    def dismiss(self) -> None:
        """All is cleaned up: end the janitor."""
        os.write(self._writer, _DONE)
        os.close(self._writer)
        os.waitpid(self._pid, 0)


def _wait_and_clean(reader: int, keep: Collection[int], clean_up: Callable[[], None], errand: Errand | None) -> None:
    os.setsid()  # signals of a terminal are not for us
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    detach_standard_streams()
    close_all_but(keep if errand is None else {*keep, *errand.descriptors})
    if errand is not None:
        with contextlib.suppress(Exception):  # whatever goes wrong with it, the cleaning comes after
            _run(errand, reader)
    if os.read(reader, 1) != _DONE:
        clean_up()


def _run(errand: Errand, reader: int) -> None:
    """Run the errand until it is done or the launcher is."""
    while (wanted := errand.fileno()) >= 0:
        poll = select.poll()
        poll.register(reader, select.POLLIN)
        poll.register(wanted, select.POLLIN)
        if reader in dict(poll.poll()):
            return
        errand.step()
