"""What a ledger remembers when its process ends: one small JSON file, replaced as a whole.

A crash costs nothing but what happened in the second before it, and of that only the names: counters of living cgroups
are read again, and the machine's own count tells how many kills there were.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
from dataclasses import dataclass
from typing import Any, Final

from cgroup_model.codec import decode, encode
from cgroup_model.oom.ledger import Entry
from cgroup_model.oom.records import Victim

VERSION: Final = 1
_MOST_BYTES: Final = 32 << 20  # far above what the ledger writes

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class State:
    """A ledger at rest. ``machine_base`` is the machine's count when the ledger began."""

    boot_id: str = ""
    saved_epoch: float = 0.0
    machine_base: int | None = None
    attributed: int = 0
    unattributed: int = 0
    log_lost: int = 0
    log_suppressed: int = 0
    entries: tuple[Entry, ...] = ()
    recent: tuple[Victim, ...] = ()


class StateFile:
    """One file, and a lock beside it: two processes that wrote one ledger would lose each other's kills."""

    def __init__(self, path: str) -> None:
        """Lock the file; raises OSError where it cannot be written, BlockingIOError when another process has it."""
        self._path = path
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        self._lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise

    def load(self) -> State | None:
        """Read what was saved; None, logged, when there is nothing or it is damaged."""
        try:
            with open(self._path, "rb") as file:
                return _state(json.loads(file.read(_MOST_BYTES)))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            log.warning("the ledger of OOM kills begins anew: %s: %s", self._path, error)
            return None

    def save(self, state: State) -> None:
        """Replace the file; raises OSError."""
        text = json.dumps({"version": VERSION, "state": encode(state)}, separators=(",", ":"))
        name = f"{self._path}.new"
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, self._path)

    def close(self) -> None:
        """Give the lock back."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _state(document: Any) -> State:  # noqa: ANN401 - whatever JSON holds
    if document["version"] != VERSION:
        raise ValueError(f"version {document['version']} is not known")
    state: State = decode(State, document["state"])
    return state
