"""OOM kills on cgroup v2: ``memory.events.local`` (Linux 5.2) counts those of the cgroup, ``memory.events`` all below.

Documentation/admin-guide/cgroup-v2.rst, "Memory". Both files are notified as modified after they have changed, at
most every 10 ms. The root cgroup has neither. A parent keeps the counts of children that were removed.
"""

from __future__ import annotations

from cgroup_model.dialects.optional import optional_number
from cgroup_model.dialects.records import OomKills
from cgroup_model.parse import flat_keyed, number_of
from cgroup_model.source import Source

EVENTS = "memory.events"
LOCAL_EVENTS = "memory.events.local"


def read_oom_kills(source: Source, directory: str) -> OomKills:
    """Read both counters of one cgroup. Own first: what happens in between is then below, never the other way."""
    own = optional_number(source, directory, LOCAL_EVENTS, b"oom_kill")
    subtree = number_of(flat_keyed(source.read(directory, EVENTS)), b"oom_kill")
    return OomKills(own, subtree)


def register_oom(source: Source, directory: str, eventfd: int) -> None:
    """Do nothing: v2 has no eventfds; watch `oom_event_file`."""


def oom_event_file(directory: str) -> str | None:
    """Return the path of the file that is modified when something happens in the cgroup or below."""
    return f"{directory}/{EVENTS}"
