"""Which containers of ours exist: a locked file for each, so that whatever a crash left behind can be found.

``<state dir>/runs/<id>`` is written before the first cgroup is made and removed after the last one is gone. The
launcher and its janitor hold it with flock(2); a file that nobody holds is a leftover.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from typing import Final

from cgscope.errors import Failure
from procfs_fuse.instances import private_directory

_PATIENCE_SECONDS: Final = 1.0  # for another launcher that removes a leftover of the same name
_PAUSE_SECONDS: Final = 0.02
_BEING_MADE: Final = "."  # begins the name of a file that is not locked yet


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
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while (record := self._create(path) or _hold(path)) is None:
            if time.monotonic() > deadline:
                raise Failure(f"a container named {container_id} is running", "choose another --name")
            time.sleep(_PAUSE_SECONDS)
        return record

    def leftovers(self) -> Iterator[Record]:
        """Hold and return each record whose launcher and janitor are gone; the caller cleans up and removes it."""
        for name in os.listdir(self._directory):
            record = _hold(os.path.join(self._directory, name))
            if record is None:
                continue
            if name.startswith(_BEING_MADE):
                record.remove()
            else:
                yield record

    def _create(self, path: str) -> Record | None:
        """Make the file, locked from the moment it has its name; None when that exists, or a sweep took our draft."""
        draft = os.path.join(self._directory, f"{_BEING_MADE}{os.getpid()}")
        descriptor = os.open(draft, os.O_RDWR | os.O_CLOEXEC | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.link(draft, path)
        except (BlockingIOError, FileNotFoundError, FileExistsError):
            os.close(descriptor)
            return None
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(draft)
        return Record(path, descriptor)


def _hold(path: str) -> Record | None:
    """Lock the file at ``path``; None when somebody else has it or removed it meanwhile."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
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
