"""Threads of a container by state. Kernel: fs/proc/array.c (task_state_array)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import islice
from typing import Final

from cgroup_model.hierarchy import Cgroup
from cgroup_model.procfs import NoSuchTask, Proc
from exporters.readers.members import Members

MOST: Final = 8192
"""Threads of one container that are looked at; one that has more has no counts at all."""

STATES: Final = {
    "running": "R",
    "sleeping": "SIPKW",  # also idle kernel threads, parked ones and those about to wake up
    "stopped": "Tt",
    "uninterruptible": "D",
    "zombie": "ZXx",
}
"""cAdvisor's name, or ours -> letters of the kernel."""

_NAME_OF: Final = {letter: name for name, letters in STATES.items() for letter in letters}


class StateReader:
    """Counts anew each time; threads that end meanwhile are left out."""

    def __init__(self, members: Members, proc: Proc) -> None:
        self._members = members
        self._proc = proc

    def read(self, cgroup: Cgroup) -> Mapping[str, int]:
        """Count the threads of the cgroup and all below it: name of a state -> threads. Empty: too many."""
        threads = list(islice(self._members.threads_below(cgroup), MOST + 1))
        if len(threads) > MOST:
            return {}
        counted = Counter(dict.fromkeys(STATES, 0))
        for tid in threads:
            try:
                counted[_NAME_OF.get(self._proc.thread_stat(tid).state, "sleeping")] += 1
            except (NoSuchTask, OSError):
                continue
        return counted
