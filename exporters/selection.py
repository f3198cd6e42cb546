"""Which cgroups are exported, and in which order."""

from __future__ import annotations

from typing import Final, Literal

from cgroup_model.discovery import ContainerPath
from cgroup_model.engines import Kind, match

Which = Literal["containers", "units", "all"]

_KINDS: Final[dict[Which, frozenset[Kind]]] = {
    "containers": frozenset({Kind.CONTAINER, Kind.POD}),
    "units": frozenset({Kind.CONTAINER, Kind.POD, Kind.UNIT}),
}


def selector(which: Which) -> ContainerPath:
    """Make the question that `Tree` asks about each path: the path itself when it is exported, else None.

    ``containers`` are those of engines, and pods; ``units`` also systemd's services, slices and scopes; ``all`` is
    every cgroup. The root is exported in any case, by another way.
    """
    if which == "all":
        return lambda path: path if path != "/" else None
    kinds = _KINDS[which]

    def select(path: str) -> str | None:
        found = match(path)
        return path if found is not None and found.kind in kinds else None

    return select
