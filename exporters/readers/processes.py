"""What the processes of a container hold open: one ``/proc/PID`` after the other, so it is off by default.

Kernel: fs/proc/fd.c, fs/proc/array.c; a line of ``/proc/PID/limits``: ``Max open files  1024  1048576  files``.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from cgroup_model.hierarchy import Cgroup
from cgroup_model.procfs import NoSuchTask, Proc
from exporters.readers.members import Members

_MOST: Final = 4096  # processes of one container that are looked at
_OPEN_FILES: Final = re.compile(rb"^Max open files +(\d{1,18}|unlimited) ", re.MULTILINE)
_STATES: Final = {
    "R": "running",
    "S": "sleeping",
    "D": "uninterruptible",
    "T": "stopped",
    "t": "stopped",
    "Z": "zombie",
}


@dataclass(frozen=True, slots=True)
class Held:
    """The processes of a container; None where we may not look."""

    processes: int
    file_descriptors: int | None = None
    sockets: int | None = None
    open_files_limit: int | None = None  # soft limit of the first process
    states: Mapping[str, int] = field(default_factory=dict)


class ProcessReader:
    """Looks at every process of a container, and of the cgroups below it."""

    def __init__(self, members: Members, proc: Proc) -> None:
        self._members = members
        self._proc = proc

    def read(self, cgroup: Cgroup) -> Held | None:
        """Count; None for the root, where it would be every process of the machine."""
        if cgroup.path == "/":
            return None
        pids = [pid for pid, _ in zip(self._members.below(cgroup), range(_MOST), strict=False)]
        held = [self._held(pid) for pid in pids]
        seen = [one for one in held if one is not None]
        return Held(
            processes=len(pids),
            file_descriptors=sum(one[0] for one in seen) if seen or not pids else None,
            sockets=sum(one[1] for one in seen) if seen or not pids else None,
            open_files_limit=self._limit(pids[0]) if pids else None,
            states=Counter(state for pid in pids if (state := self._state(pid)) is not None),
        )

    def _held(self, pid: int) -> tuple[int, int] | None:
        """Count descriptors and sockets among them; None when the process is gone or not ours to look at."""
        folder = f"{self._proc.root}/{pid}/fd"
        try:
            names = os.listdir(folder)
        except OSError:
            return None
        return len(names), sum(_is_socket(f"{folder}/{name}") for name in names)

    def _state(self, pid: int) -> str | None:
        try:
            return _STATES.get(self._proc.stat(pid).state, "other")
        except (NoSuchTask, OSError):
            return None

    def _limit(self, pid: int) -> int | None:
        try:
            found = _OPEN_FILES.search(self._proc.read(f"{pid}/limits"))
        except (NoSuchTask, OSError):
            return None
        return int(found[1]) if found is not None and found[1] != b"unlimited" else None


def _is_socket(path: str) -> bool:
    try:
        return os.readlink(path).startswith("socket:")
    except OSError:
        return False
