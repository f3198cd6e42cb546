"""Network counters of a container, from ``/proc/PID/net/dev`` of a process inside.

Kernel: net/core/net-procfs.c. A line: ``  eth0: 1296 16 0 0 0 0 0 0  936 12 0 0 0 0 0 0`` (8 fields received, 8 sent).
Processes in the host's network namespace carry the host's traffic, not their container's: for them nothing is said.
"""

from __future__ import annotations

from typing import Final

from cgroup_model.dialects import dialect_for
from cgroup_model.discovery import walk_directories
from cgroup_model.hierarchy import Cgroup, Tree
from cgroup_model.parse import ParseError, integer
from cgroup_model.procfs import NoSuchTask, Proc
from cgroup_model.rates import Interface
from cgroup_model.source import CgroupGone, Missing, Source

_FIELDS: Final = 16
_MOST_LOOKED_AT: Final = 16  # cgroups below one: a member is near, or there is none


def parse_net_dev(data: bytes) -> tuple[Interface, ...]:
    """Parse the whole file; the first two lines are headings. Raises `ParseError`."""
    return tuple(_interface(line) for line in data.splitlines()[2:] if line.strip())


def _interface(line: bytes) -> Interface:
    name, colon, rest = line.rpartition(b":")
    fields = rest.split()
    if not colon or len(fields) < _FIELDS:
        raise ParseError("a line of net/dev", line)
    numbers = [integer(field) for field in fields]
    return Interface(name.strip().decode("utf-8", "replace"), *numbers[:4], *numbers[8:12])


class Network:
    """Finds a process in a cgroup and reads its network namespace's counters. Not for several threads."""

    def __init__(self, tree: Tree, source: Source, proc: Proc) -> None:
        self._tree = tree
        self._source = source
        self._proc = proc
        self._dialect = dialect_for(tree.mounts.primary)
        self._host = proc.namespace(1, "net") or proc.namespace("self", "net")

    def read(self, cgroup: Cgroup, *, below: bool) -> tuple[Interface, ...] | None:
        """Read the counters; ``below`` also asks processes of cgroups inside, which is right for a container or pod."""
        try:
            pid = self._member(cgroup, below=below)
            if pid is None or self._proc.namespace(pid, "net") in {None, self._host}:
                return None
            return parse_net_dev(self._proc.read(f"{pid}/net/dev"))
        except (NoSuchTask, CgroupGone, OSError, ParseError):
            return None

    def _member(self, cgroup: Cgroup, *, below: bool) -> int | None:
        top = self._tree.layout(cgroup).home
        for count, child in enumerate(walk_directories(top)):
            if count >= _MOST_LOOKED_AT:
                break
            try:
                members = self._dialect.read_procs(self._source, child.directory)
            except (Missing, OSError):
                members = []
            if members and members[0]:
                return members[0]
            if not below:
                break
        return None
