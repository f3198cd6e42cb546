"""A process that outlives a killed launcher, to remove what it left.

It holds the reading end of a pipe whose other end only the launcher has. A byte means that the launcher has cleaned
up itself; the end of the pipe without one means that it is gone.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Collection
from typing import Final

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
    _close_all_but(keep)
    if os.read(reader, 1) != _DONE:
        clean_up()


def _close_all_but(keep: Collection[int]) -> None:
    """Close every descriptor of the launcher, its standard streams too: their readers wait for the end of file."""
    null = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(null, standard)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in keep:
            try:
                os.close(int(name))
            except OSError:  # the one that listed the directory
                continue
