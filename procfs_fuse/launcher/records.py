"""Which containers of ours exist: a locked file for each, so that whatever a crash left behind can be found.

``<state dir>/runs/<id>`` is written before the first cgroup is made and removed after the last one is gone. The
launcher and its janitor hold it with flock(2); a file that nobody holds is a leftover.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from typing import Final

from cgscope.errors import Failure
from procfs_fuse.instances import private_directory

_TRIES: Final = 100  # a sweep may be looking at the file at the very moment


class Record:
    """One container's file, held."""

    def __init__(self, path: str, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor

    @property
    def id(self) -> str:
        """The container's id."""
        return os.path.basename(self.path)

    def remove(self) -> None:
        """Nothing of the container is left. The name goes first: whoever gets the lock then sees that."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        os.close(self.descriptor)


class Records:
    """The files of all containers started with one state directory."""

    def __init__(self, state_dir: str) -> None:
        self._directory = private_directory(os.path.join(private_directory(state_dir), "runs"))

    def take(self, container_id: str) -> Record:
        """Claim an id. Raises Failure when a container has it."""
        path = os.path.join(self._directory, container_id)
        for _ in range(_TRIES):
            record = _hold(path, create=True)
            if record is not None:
                return record
        raise Failure(f"a container named {container_id} is running", "choose another --name")

    def leftovers(self) -> Iterator[Record]:
        """Hold and return each record whose launcher and janitor are gone; the caller cleans up and removes it."""
        for name in os.listdir(self._directory):
            record = _hold(os.path.join(self._directory, name), create=False)
            if record is not None:
                yield record


def _hold(path: str, *, create: bool) -> Record | None:
    """Lock the file at ``path``; None when somebody else has it or removed it meanwhile."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0), 0o600)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), os.stat(path)):
            return Record(path, descriptor)
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return None
