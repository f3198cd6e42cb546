"""OOM kills on cgroup v1: ``memory.oom_control`` counts them, ``cgroup.event_control`` registers an eventfd.

Documentation/admin-guide/cgroup-v1/memory.rst, section 10; mm/memcontrol-v1.c. The eventfd is signalled when memory
runs out in the cgroup or in an ancestor (before anything is killed), and once more when the cgroup is removed.
``oom_kill`` (Linux 4.13) counts victims in the cgroup itself, and an open file of it answers ENODEV afterwards.
"""

from __future__ import annotations

from cgroup_model.dialects.records import OomKills
from cgroup_model.parse import flat_keyed, number_of
from cgroup_model.source import Source

COUNTER = "memory.oom_control"


def read_oom_kills(source: Source, directory: str) -> OomKills:
    """Read the counter of one cgroup."""
    return parse_oom_kills(source.read(directory, COUNTER))


def parse_oom_kills(data: bytes) -> OomKills:
    """Parse the counter; v1 does not add up what is below."""
    return OomKills(number_of(flat_keyed(data), b"oom_kill"), None)


def register_oom(source: Source, directory: str, eventfd: int) -> int:
    """Have the eventfd signalled; gives a descriptor of the counter, the caller's to close, for `parse_oom_kills`."""
    counter = source.open(directory, COUNTER)
    source.write(directory, "cgroup.event_control", b"%d %d" % (eventfd, counter))
    return counter


def oom_event_file(directory: str) -> str | None:  # noqa: ARG001
    """Return None: v1 notifies through eventfds, not through files that are modified."""
    return None
