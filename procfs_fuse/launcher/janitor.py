"""A process that outlives a killed launcher, to remove what it left.

It holds the reading end of a pipe whose other end only the launcher has. A byte means that the launcher has cleaned
up itself; the end of the pipe without one means that it is gone.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Collection
from typing import Final

from procfs_fuse.descriptors import close_all_but, detach_standard_streams

_DONE: Final = b"."


class Janitor:
    """A running janitor, seen from the launcher."""

    def __init__(self, clean_up: Callable[[], None], keep: Collection[int]) -> None:
        """Fork it. ``clean_up`` is called in it when we die; it keeps the descriptors (and locks) ``keep`` open."""
        reader, self._writer = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                _wait_and_clean(reader, {reader, *keep}, clean_up)
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


def _wait_and_clean(reader: int, keep: Collection[int], clean_up: Callable[[], None]) -> None:
    os.setsid()  # signals of a terminal are not for us
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    detach_standard_streams()
    close_all_but(keep)
    if os.read(reader, 1) != _DONE:
        clean_up()
