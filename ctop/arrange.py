"""From a scene to rows: filter, sort, group or tree, fold. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import field
from operator import attrgetter
from typing import Any, Final, Literal, NamedTuple

from cgroup_model.engines import Kind
from cgroup_model.record import dataclass
from cgroup_model.snapshot import UNLIMITED
from ctop.columns import COLUMNS
from ctop.filters import Filter
from ctop.format import Value, clean
from ctop.scene import Entry, Scene
from ctop.values import title

Grouping = Literal["none", "engine", "pod", "project", "slice"]
GROUPINGS: Final[tuple[Grouping, ...]] = ("none", "engine", "pod", "project", "slice")

_PROJECT_LABELS: Final = ("com.docker.compose.project", "io.podman.compose.project")


@dataclass(frozen=True, slots=True)
class View:
    """What the user chose to see, and how."""

    sort: str = "cpu"
    reverse: bool = False  # against the column's natural direction
    filter: Filter = field(default_factory=Filter)
    tree: bool = False
    group: Grouping = "none"
    show_all: bool = False  # every cgroup; otherwise what engines and systemd run
    folded: frozenset[str] = frozenset()  # keys of rows


class Row(NamedTuple):
    """One line of the list: an entry, or the head of a group (``entry`` None). ``key`` survives refreshes."""

    key: str
    given: str = ""  # instead of the entry's own title
    entry: Entry | None = None
    depth: int = 0
    folds: bool | None = None  # None: nothing below; True: folded
    is_context: bool = False  # shown only because something below it fits the filter

    @property
    def label(self) -> str:
        """What it is called; worked out when it is shown, since most rows are not."""
        return self.given if self.given or self.entry is None else title(self.entry)


def arrange(scene: Scene, view: View) -> list[Row]:
    """Make the rows, in order."""
    entries = scene.entries.values()
    shown = list(entries if view.show_all else filter(is_interesting, entries))
    if view.filter.tests:
        shown = list(filter(view.filter.fits, shown))
    if not shown and not view.show_all and not view.filter.tests:  # a machine without containers
        shown = list(entries)
    if view.tree:
        return _tree(scene, shown, view)
    ordered = in_order(shown, view)
    if view.group != "none":
        return _grouped(ordered, view)
    return [Row(entry.path, "", entry) for entry in ordered]


def is_interesting(entry: Entry) -> bool:
    """Tell whether an entry is shown without being asked for: containers, pods, and systemd's services."""
    kind = entry.identity.kind
    if kind is Kind.UNIT:
        return not entry.path.endswith(".slice")
    return kind in {Kind.CONTAINER, Kind.POD}


def in_order(entries: Iterable[Entry], view: View) -> list[Entry]:
    """Sort by the view's column; unknown values come last in either direction, equal ones by path."""
    column = COLUMNS[view.sort]
    by_path = sorted(entries, key=attrgetter("path"))
    known: list[tuple[float | str, Entry]] = []
    unknown: list[Entry] = []
    for entry in by_path:
        value = _sortable(column.value(entry))
        if value is None:
            unknown.append(entry)
        else:
            known.append((value, entry))
    descending = column.is_text == view.reverse
    known.sort(key=_first, reverse=descending)
    return [entry for _value, entry in known] + unknown


def _first(pair: tuple[Any, Entry]) -> Any:  # noqa: ANN401 - all of one column, and so comparable
    return pair[0]


def _sortable(value: Value) -> float | str | None:
    if value is UNLIMITED:
        return math.inf
    return value.casefold() if isinstance(value, str) else value


# ------------------------------------------------------------------------------------------------ groups


def _grouped(ordered: list[Entry], view: View) -> list[Row]:
    """Put entries under the heads of their groups; groups come in the order of their best entry."""
    groups: dict[str, list[Entry]] = {}
    for entry in ordered:
        groups.setdefault(group_of(entry, view.group), []).append(entry)
    rows = []
    for name, members in groups.items():
        key = f"{view.group}={name}"
        folded = key in view.folded
        rows.append(Row(key, f"{clean(name)} ({len(members)})", folds=folded))
        if not folded:
            rows += [Row(entry.path, entry=entry, depth=1) for entry in members]
    return rows


def group_of(entry: Entry, grouping: Grouping) -> str:
    """Name the group of an entry; what belongs to none is in ``other``."""
    identity = entry.identity
    found: str | None = None
    if grouping == "engine":
        found = identity.engine
    elif grouping == "pod":
        found = "/".join(part for part in (identity.namespace, identity.pod) if part)
    elif grouping == "project":
        found = next((identity.labels[label] for label in _PROJECT_LABELS if label in identity.labels), None)
    elif grouping == "slice":
        found = next((name for name in reversed(entry.path.split("/")) if name.endswith(".slice")), None)
    return found or "other"


# -------------------------------------------------------------------------------------------------- tree


def _tree(scene: Scene, shown: list[Entry], view: View) -> list[Row]:
    """Show entries below their ancestors. Without recursion, since the depth is a stranger's choice."""
    wanted = {entry.path for entry in shown}
    present: dict[str, Entry] = {}
    children: dict[str | None, list[Entry]] = {}
    for entry in shown:
        _add_with_ancestors(scene, entry, present, children)
    rows: list[Row] = []
    pending = [(entry, 0) for entry in reversed(in_order(children.get(None, []), view))]
    while pending:
        entry, depth = pending.pop()
        below = children.get(entry.path, [])
        folded = entry.path in view.folded
        row = Row(entry.path, _leaf_title(entry), entry, depth, is_context=entry.path not in wanted)
        rows.append(row._replace(folds=folded) if below else row)
        if not folded:
            pending += [(child, depth + 1) for child in reversed(in_order(below, view))]
    return rows


def _add_with_ancestors(
    scene: Scene, entry: Entry, present: dict[str, Entry], children: dict[str | None, list[Entry]]
) -> None:
    path = entry.path
    while path not in present:
        present[path] = scene.entries[path]
        parent = parent_of(path, scene.entries.__contains__)
        children.setdefault(parent, []).append(scene.entries[path])
        if parent is None:
            return
        path = parent


def parent_of(path: str, exists: Callable[[str], bool]) -> str | None:
    """The nearest ancestor that is there; None for the top."""
    while path not in {"/", ""}:
        path = path.rpartition("/")[0] or "/"
        if exists(path):
            return path
    return None


def _leaf_title(entry: Entry) -> str:
    """The engine's name of a container, else the last part of the path: the rest is above it."""
    name = title(entry) if entry.is_container else clean(entry.path.rpartition("/")[2])
    return name or "/"
