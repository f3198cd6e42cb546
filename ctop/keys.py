"""The key map: one table, from which both the bindings and the help are made.

Nothing here changes a container: what does is in a menu that asks before it acts (`ctop.actions`).
"""

from __future__ import annotations

from typing import Final

from cgroup_model.record import dataclass


@dataclass(frozen=True, slots=True)
class Key:
    """Keys that do the same; ``action`` is the name of a method ``action_…``. Names of keys as textual has them."""

    keys: tuple[str, ...]
    action: str
    about: str


MOVING: Final = (
    Key(("up", "k"), "move(-1)", "up"),
    Key(("down", "j"), "move(1)", "down"),
    Key(("pageup", "ctrl+b"), "page(-1)", "a page up"),
    Key(("pagedown", "ctrl+f"), "page(1)", "a page down"),
    Key(("home", "g"), "edge(-1)", "to the first row"),
    Key(("end", "G"), "edge(1)", "to the last row"),
)

LISTING: Final = (
    Key(("s", "f6"), "sort_menu", "choose the sort column"),
    Key(("<",), "sort_step(-1)", "sort by the column to the left"),
    Key((">",), "sort_step(1)", "sort by the column to the right"),
    Key(("r",), "reverse", "reverse the order"),
    Key(("P", "C"), "sort_by('cpu')", "sort by CPU"),
    Key(("M",), "sort_by('memory')", "sort by memory"),
    Key(("N",), "sort_by('name')", "sort by name"),
    Key(("I",), "sort_by('read')", "sort by reads"),
    Key(("T",), "sort_by('pids')", "sort by tasks"),
    Key(("t", "f5"), "tree", "tree or flat list"),
    Key(("b",), "group", "group by engine, pod, project, slice, or not"),
    Key(("+", "=", "minus"), "fold", "fold or unfold the row"),
    Key(("*",), "fold_all", "fold or unfold everything"),
    Key(("a",), "show_all", "every cgroup, or containers and services"),
    Key(("/", "f", "f4"), "filter", "filter: substring, !not, ~regex"),
    Key(("f3",), "search", "search: go to the next row that fits"),
    Key(("n",), "search_next", "search again"),
    Key(("F",), "follow", "keep the selected row selected while the order changes"),
    Key(("c", "f2"), "column_menu", "choose columns"),
    Key(("%",), "variant(0)", "CPU % of a core, of the host, of the limit"),
    Key(("m",), "variant(1)", "memory: usage, working set, anonymous"),
    Key(("H",), "head", "show or hide the head"),
)

DOING: Final = (
    Key(("enter", "o", "right"), "detail", "details of the selected row"),
    Key(("x", "f9"), "actions", "freeze, signal, limits, attach: a menu that asks first"),
    Key(("e",), "shell", "a shell inside (asks first)"),
    Key(("l",), "logs", "its log, where the engine keeps one in a file"),
    Key(("space", "Z"), "pause", "stop and go on"),
    Key(("[",), "step(-1)", "one look back in time (stops)"),
    Key(("]",), "step(1)", "one look forward"),
    Key(("J",), "jump", "jump to a time: 14:05, -10m, +30s"),
    Key(("O",), "next_oom", "go to the next OOM kill"),
    Key(("ctrl+r",), "look", "look now"),
    Key(("d",), "interval", "set the interval"),
    Key(("{",), "faster(0.5)", "twice as often"),
    Key(("}",), "faster(2.0)", "half as often"),
    Key(("y",), "theme", "next theme"),
    Key(("S",), "save", "save these settings"),
    Key(("?", "h", "f1"), "help", "this help"),
    Key(("escape",), "back", "clear the filter, go on"),
    Key(("ctrl+z",), "suspend", "to the shell; fg comes back"),
    Key(("q", "f10", "ctrl+c"), "leave", "quit"),
)

DETAIL: Final = (
    Key(("up", "k"), "move(-1)", "up"),
    Key(("down", "j"), "move(1)", "down"),
    Key(("pageup",), "page(-1)", "a page up"),
    Key(("pagedown",), "page(1)", "a page down"),
    Key(("home", "g"), "edge(-1)", "to the top"),
    Key(("end", "G"), "edge(1)", "to the bottom"),
    Key(("tab", "right"), "turn(1)", "next page"),
    Key(("shift+tab",), "turn(-1)", "page before"),
    Key(("p",), "open('processes')", "processes"),
    Key(("s",), "sort_processes", "sort processes by the next column"),
    Key(("x", "f9"), "actions", "freeze, signal, limits, attach: a menu that asks first"),
    Key(("e",), "shell", "a shell inside (asks first)"),
    Key(("l",), "logs", "its log"),
    Key(("space", "Z"), "pause", "stop and go on"),
    Key(("[",), "step(-1)", "one look back in time"),
    Key(("]",), "step(1)", "one look forward"),
    Key(("?", "h", "f1"), "help", "this help"),
    Key(("escape", "left", "q", "enter"), "back", "back to the list"),
    Key(("ctrl+c", "f10"), "leave", "quit"),
)

MAIN: Final = (*MOVING, *LISTING, *DOING)

_NAMES: Final = {
    "space": "Space",
    "minus": "-",
    "escape": "Esc",
    "pageup": "PgUp",
    "pagedown": "PgDn",
    "up": "↑",
    "down": "↓",
    "left": "←",
    "right": "→",
}


def label(key: str) -> str:
    """A key as it is printed on keyboards."""
    if key in _NAMES:
        return _NAMES[key]
    if key.startswith("ctrl+"):
        return f"^{key[5:].upper()}"
    return key if len(key) == 1 else key.capitalize()
