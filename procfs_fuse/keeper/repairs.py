"""Healing containers after everything had died: done once by a process of its own, while the keeper goes on.

    python -m procfs_fuse.keeper.repairs STATE_DIR MOUNTPOINT

It prints what it did as JSON. The keeper must not do it itself: it would look at mounts that are served through it.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable
from typing import Any, Final, Protocol

from procfs_fuse.background import environment
from procfs_fuse.instances import Instance

_MOST_BYTES: Final = 1 << 20

log = logging.getLogger(__name__)


class Loop(Protocol):
    """What is asked of an event loop."""

    def add_reader(self, fd: int, callback: Callable[[], object], /) -> None:
        """Call ``callback`` when ``fd`` can be read."""

    def remove_reader(self, fd: int, /) -> None:
        """Stop doing so."""


class Repairs:
    """What was repaired in which container; each a dict with ``pid`` (of a process in it), ``files``, ``problem``."""

    def __init__(self, loop: Loop, instance: Instance, found: list[dict[str, Any]]) -> None:
        self._loop = loop
        self._instance = instance
        self._text = b""
        self.found = found

    def start(self) -> None:
        """Look for dead mounts of this instance in all containers."""
        reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        module = ["-m", "procfs_fuse.keeper.repairs", self._instance.directory, self._instance.mountpoint]
        try:
            os.posix_spawn(
                sys.executable,
                [sys.executable, "-P", *module],
                environment(),
                file_actions=[(os.POSIX_SPAWN_DUP2, writer, 1)],
            )
        except OSError as error:
            log.error("containers are not looked at: %s", error)  # noqa: TRY400
            os.close(reader)
        else:
            self._loop.add_reader(reader, lambda: self._read(reader))
        finally:
            os.close(writer)

    def _read(self, reader: int) -> None:
        data = os.read(reader, 1 << 16)
        self._text += data
        if data and len(self._text) < _MOST_BYTES:
            return
        self._loop.remove_reader(reader)
        os.close(reader)
        try:
            self.found = json.loads(self._text or b"[]")
        except ValueError:
            log.error("looking for containers to repair has failed")  # noqa: TRY400
        for one in self.found:
            log.warning("container with process %d: %s", one["pid"], one["problem"] or f"{one['files']} files repaired")


def main(directory: str, mountpoint: str) -> None:
    """Repair and print."""
    from procfs_fuse.attach import repair  # noqa: PLC0415 - the keeper imports this module, and needs nothing of that

    outcomes = repair(Instance(directory, mountpoint, 0, 0.0))
    rows = [{"pid": pid, "files": len(one.files), "problem": one.problem} for pid, one in outcomes.items()]
    os.set_blocking(1, True)
    print(json.dumps(rows))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
