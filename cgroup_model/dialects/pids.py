"""The pids controller, which has the same files in both dialects; unit: tasks, that is threads.

Documentation/admin-guide/cgroup-v2.rst, "PID"; kernel/cgroup/pids.c. The root cgroup has none of them.
``pids.current`` ``7``, ``pids.max`` ``max`` or ``100``, ``pids.events`` ``max 0``.
"""

from __future__ import annotations

from cgroup_model.dialects.optional import directory_of, needed, parsed
from cgroup_model.dialects.records import Dirs
from cgroup_model.parse import flat_keyed, integer, limit, number_of
from cgroup_model.snapshot import UNLIMITED, Limit, Pids, UnlimitedType
from cgroup_model.source import Source

_COUNTED = ("pids.current", "pids.peak", "pids.events")
_LIMIT = ("pids.max",)


def read_pids(source: Source, dirs: Dirs) -> Pids:
    """Count the tasks of the subtree and their limit."""
    directory = directory_of(dirs, "pids")
    return source.record(directory, _COUNTED, _pids, source.settings(directory, _LIMIT, _limit))


def _limit(data: bytes | None) -> Limit:
    return limit(needed(data, _LIMIT[0]))


def _pids(current: bytes | None, peak: bytes | None, events: bytes | None, most: Limit) -> Pids:
    pairs = parsed(events, flat_keyed)
    return Pids(
        current=integer(needed(current, _COUNTED[0])),
        max=most,
        peak=parsed(peak, integer),
        events_max=None if pairs is None else number_of(pairs, b"max"),
    )


def read_pids_current(source: Source, dirs: Dirs) -> int:
    """Count the tasks of the subtree, and nothing else."""
    return integer(source.read(directory_of(dirs, "pids"), "pids.current"))


def read_pids_max(source: Source, dirs: Dirs) -> Limit:
    """Read the limit of this level alone."""
    return source.settings(directory_of(dirs, "pids"), _LIMIT, _limit)


def write_pids_max(source: Source, dirs: Dirs, limit: int | UnlimitedType) -> None:
    """Limit the number of tasks."""
    value = b"max" if limit is UNLIMITED else b"%d" % limit
    source.write(directory_of(dirs, "pids"), "pids.max", value)
