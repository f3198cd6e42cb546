"""Rows from a scene: what is shown, in which order, under what."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ctop.arrange import View, arrange, in_order
from ctop.columns import COLUMNS
from ctop.filters import parse
from ctop.scene import Entry
from tests.ctop.scenes import DOCKER_ID, containers, entry, scene


def labels(view: View, entries: list[Entry] | None = None) -> list[str]:
    """Return the labels of all rows."""
    return [row.label for row in arrange(scene(entries), view)]


def test_containers_and_services_are_shown_slices_are_not() -> None:
    """What people run is there without asking; show_all adds everything else."""
    assert labels(View()) == ["web", "database", "ssh.service"]
    assert len(labels(View(show_all=True))) == len(containers())


def test_without_containers_everything_is_shown() -> None:
    """An empty screen would look like a fault."""
    assert labels(View(), [entry("/"), entry("/plain")]) == ["/", "/plain"]


@pytest.mark.parametrize("name", COLUMNS)
def test_every_column_sorts_and_unknown_is_last(name: str) -> None:
    """In both directions an entry without the value comes last."""
    unknown = replace(entry("/unknown"), moment=None, rates=None, brief=type(entry("/").brief)())
    if COLUMNS[name].value(unknown) is not None:
        return
    entries = [unknown, *containers()]
    for reverse in (False, True):
        ordered = in_order(entries, View(sort=name, reverse=reverse))
        values = [COLUMNS[name].value(one) for one in ordered]
        assert None not in values[: len(values) - values.count(None)]


def test_numbers_sort_downwards_and_text_upwards() -> None:
    """The first key press shows what people look for; reverse turns both."""
    assert labels(View(sort="memory")) == ["database", "web", "ssh.service"]
    assert labels(View(sort="memory", reverse=True)) == ["ssh.service", "web", "database"]
    assert labels(View(sort="name")) == ["database", "ssh.service", "web"]
    assert labels(View(sort="name", reverse=True)) == ["web", "ssh.service", "database"]


def test_unlimited_is_more_than_any_limit() -> None:
    """No limit sorts above every limit."""
    assert labels(View(sort="memory_limit"))[0] == "ssh.service"


def test_uptime_sorts_by_time() -> None:
    """Not by its text: 9 s is less than 1 h."""
    entries = [entry("/short", age=9.0), entry("/long", age=3600.0)]
    assert labels(View(sort="uptime", show_all=True), entries) == ["/long", "/short"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("web", ["web"]),
        ("NGINX", ["web"]),
        ("!web", ["database", "ssh.service"]),
        ("~^web$", ["web"]),
        ("!~e", []),
        ("database podman", ["database"]),
        ("!", ["web", "database", "ssh.service"]),
        ("nothing-like-it", []),
    ],
)
def test_filter(text: str, expected: list[str]) -> None:
    """Substring, !, ~regex; all words have to fit; case does not matter."""
    assert labels(View(filter=parse(text))) == expected


@given(st.text("~!ab()[]{}*+?|^$ ", max_size=12) | st.text(max_size=8))
@example("~[[a]")  # of which Python warns
def test_any_text_is_a_filter(text: str) -> None:
    """Whatever is typed narrows the list, or is a hint; nothing else is said."""
    found = parse(text)
    assert found.text == text
    arrange(scene(), View(filter=found))


def test_half_typed_regex_is_a_hint() -> None:
    """It neither fails nor hides everything."""
    found = parse("~(we")
    assert "not a regular expression" in found.hint
    assert labels(View(filter=found)) == ["web", "database", "ssh.service"]


def test_tree_keeps_ancestors_of_what_fits() -> None:
    """A row that fits is found where it is; its ancestors are there as context."""
    rows = arrange(scene(), View(tree=True, filter=parse("web"), show_all=True))
    assert [(row.label, row.depth, row.is_context) for row in rows] == [("/", 0, True), ("web", 1, False)]


def test_folding_hides_what_is_below() -> None:
    """A folded row says so, and what is below it is gone."""
    rows = arrange(scene(), View(tree=True, show_all=True, folded=frozenset({"/machine.slice"})))
    assert "database" not in [row.label for row in rows]
    assert next(row for row in rows if row.label == "machine.slice").folds is True


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        ("engine", ["docker (1)", "web", "podman (1)", "database", "systemd (1)", "ssh.service"]),
        ("project", ["shop (1)", "web", "other (2)", "database", "ssh.service"]),
        ("slice", ["other (1)", "web", "machine.slice (1)", "database", "system.slice (1)", "ssh.service"]),
    ],
)
def test_groups(group: str, expected: list[str]) -> None:
    """Heads with counts; groups in the order of their best entry."""
    assert labels(View(group=group)) == expected  # type: ignore[arg-type]


def test_a_very_deep_tree_is_no_recursion() -> None:
    """The depth is a stranger's choice."""
    paths = ["/" + "/".join("a" * depth) for depth in range(1, 3000)]
    rows = arrange(scene([entry(path) for path in paths]), View(tree=True, show_all=True))
    assert rows[-1].depth == len(paths) - 1


def test_row_keys_are_the_paths() -> None:
    """A selection survives a refresh by its key."""
    assert f"/docker/{DOCKER_ID}" in [row.key for row in arrange(scene(), View())]
