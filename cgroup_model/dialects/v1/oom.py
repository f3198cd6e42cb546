"""OOM kills on cgroup v1: ``memory.oom_control`` counts them, ``cgroup.event_control`` registers an eventfd.

Documentation/admin-guide/cgroup-v1/memory.rst, section 10; mm/memcontrol-v1.c. The eventfd is signalled when memory
runs out in the cgroup or in an ancestor (before anything is killed), and once more when the cgroup is removed.
``oom_kill`` (Linux 4.13) counts victims in the cgroup itself.
"""

from __future__ import annotations

import os

from cgroup_model.dialects.records import OomKills
from cgroup_model.parse import flat_keyed, number_of
from cgroup_model.source import Source

COUNTER = "memory.oom_control"


def read_oom_kills(source: Source, directory: str) -> OomKills:
    """Read the counter of one cgroup; v1 does not add up what is below."""
    return OomKills(number_of(flat_keyed(source.read(directory, COUNTER)), b"oom_kill"), None)


def register_oom(source: Source, directory: str, eventfd: int) -> None:
    """Have the eventfd signalled for as long as the cgroup lives, and when it goes."""
    counter = source.open(directory, COUNTER)
    try:
        source.write(directory, "cgroup.event_control", b"%d %d" % (eventfd, counter))
    finally:
        os.close(counter)


def oom_event_file(directory: str) -> str | None:  # noqa: ARG001
    """Return None: v1 notifies through eventfds, not through files that are modified."""
    return None
