"""How a cgroup's path tells what it is: rows of patterns, and what a row that fits says.

A row looks at two names only: the cgroup's own and its parent's. So it fits at any depth, as nested engines (kind,
Docker in Docker) and other drivers of the same engine need.

Names in a cgroup tree are strangers' input. Every expression is matched against one whole name, has no nested
repetition, and therefore takes linear time.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from itertools import groupby
from typing import Final

from cgroup_model.record import dataclass

HEX_ID: Final = r"(?P<id>[0-9a-f]{64})"
"""What Docker, Podman, CRI-O and containerd's CRI call a container: 256 random bits."""

OCI_ID: Final = r"(?P<id>[A-Za-z0-9_][A-Za-z0-9_.+-]{0,127})"
"""An id that somebody chose: containerd (at most 76 characters), runc and crun (no limit of their own)."""

SHORT_ID_LENGTH: Final = 12

_HEX_ID: Final = re.compile(HEX_ID)


class Kind(enum.Enum):
    """What sort of cgroup it is."""

    CONTAINER = "container"
    POD = "pod"  # holds containers, is none
    UNIT = "unit"  # systemd's: service, slice, scope, session
    HELPER = "helper"  # belongs to an engine, but is not the container: monitors, mounts


class Rank(enum.IntEnum):
    """Which rows are asked first."""

    NAMED = 0  # the path names the engine
    GENERAL = 1  # the name fits several engines; it is this one's unless another's row says so
    UNIT = 2  # every unit of systemd, when no engine claimed its name


@dataclass(frozen=True, slots=True)
class Pattern:
    """One row: a cgroup called ``name`` (group ``id``) below one called ``parent`` is a ``kind`` of ``engine``.

    Both expressions must fit the whole name; no ``parent`` fits all. With ``guess`` the path cannot tell which of
    several engines it is, and the engine whose files know the id has the last word.
    """

    engine: str
    name: str
    parent: str | None = None
    kind: Kind = Kind.CONTAINER
    rank: Rank = Rank.NAMED
    guess: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    """What the path alone says about a cgroup."""

    engine: str
    id: str
    path: str
    kind: Kind = Kind.CONTAINER
    guess: bool = False

    @property
    def helper(self) -> bool:
        """True for cgroups that belong to an engine but hold no container: monitors, mount units."""
        return self.kind is Kind.HELPER


class PatternTable:
    """Rows in the order in which they are asked, as one expression: one by one they take twice as long."""

    def __init__(self, patterns: Iterable[Pattern]) -> None:
        """Order and compile the rows: by rank, then helpers, then those that also look at the parent."""
        # Helpers come early because some containers' rows take any name.
        self._rows = sorted(patterns, key=lambda row: (row.rank, row.kind is not Kind.HELPER, row.parent is None))
        runs = groupby(enumerate(self._rows), key=lambda numbered: numbered[1].parent)
        # A newline is a letter like any other in a cgroup's name; a slash is in none.
        self._expression = re.compile("|".join(_below(parent, rows) for parent, rows in runs), re.DOTALL)

    def match(self, path: str) -> Match | None:
        """Tell what the cgroup at ``path`` is, by its own and its parent's name; None when no row fits."""
        head, _, name = path.rpartition("/")
        return self._match(path, head.rpartition("/")[2], name)

    def container_path(self, path: str, *, include_units: bool) -> str | None:
        """Find the innermost container (or unit or pod) on a path: a prefix of it or itself."""
        names = path.split("/")
        for depth in range(len(names) - 1, 0, -1):
            prefix = "/".join(names[: depth + 1])
            found = self._match(prefix, names[depth - 1], names[depth])
            if found and (found.kind is Kind.CONTAINER or (include_units and not found.helper)):
                return prefix
        return None

    def _match(self, path: str, parent: str, name: str) -> Match | None:
        if name in {"", ".", ".."}:
            return None  # ".." begins the paths of processes outside of our cgroup namespace
        fits = self._expression.fullmatch(f"{parent}/{name}")
        if fits is None or fits.lastgroup is None:
            return None
        number = fits.lastgroup.removeprefix("row")  # the outermost group of a row is closed last
        found, ident = self._rows[int(number)], fits[f"id{number}"]
        # An id becomes part of a file name later.
        if ident in {"", ".", ".."}:
            return None
        return Match(found.engine, ident, path, found.kind, found.guess)


def is_machine_made(container_id: str) -> bool:
    """Tell random ids (64 hexadecimal digits) from those that somebody chose, which are names."""
    return _HEX_ID.fullmatch(container_id) is not None


def short_id(container_id: str) -> str:
    """Shorten an id of 64 hexadecimal digits to its first 12, as all engines print it; others stay whole."""
    return container_id[:SHORT_ID_LENGTH] if is_machine_made(container_id) else container_id


def _below(parent: str | None, rows: Iterable[tuple[int, Pattern]]) -> str:
    """The expression of numbered rows that look at the same parent; its groups are ``row<number>``, ``id<number>``."""
    above = "[^/]*+" if parent is None else f"(?:{parent})"
    names = (f"(?P<row{number}>{row.name.replace('(?P<id>', f'(?P<id{number}>')})" for number, row in rows)
    return f"{above}/(?:{'|'.join(names)})"
