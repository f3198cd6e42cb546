"""Which container system made a cgroup, and what it is called there: from paths and files, never from a daemon.

Every module here whose name does not begin with ``_`` is one container system, found by discovery. It has

* ``PATTERNS``: rows of `Pattern`, how its cgroups are called; a system that keeps no files needs nothing else;
* ``look_up(files, match, user) -> Details | None``, optional: what its files say about a container, perhaps of another
  engine (random ids are looked up everywhere). ``user`` is set when the cgroup is in a user's own slice: then only that
  user's files count. Raises `Unreadable`;
* ``claim(files, path) -> Match | None``, optional: its files know a path that no pattern can. Raises `Unreadable`.
"""

from __future__ import annotations

from cgroup_model.engines._details import NO_CHECK
from cgroup_model.engines._files import Files
from cgroup_model.engines._patterns import Kind, Match, short_id
from cgroup_model.engines._registry import ENGINES, container_path, match
from cgroup_model.engines._resolver import Identity, Resolver

__all__ = [
    "ENGINES",
    "NO_CHECK",
    "Files",
    "Identity",
    "Kind",
    "Match",
    "Resolver",
    "container_path",
    "match",
    "short_id",
]
