"""`make run`: the layout of both sides, and what is said when a side cannot be shown."""

from __future__ import annotations

import pytest

from procfs_fuse import demo
from procfs_fuse.demo import DemoError, Shown

BLOCKS = [Shown("one", ("long line", "b"), ("c",)), Shown("two", ("d",), ("e", "f"))]


def test_beside_one_another() -> None:
    """Where both fit in one line the container stands to the right, every line of both sides present."""
    lines = demo.layout(BLOCKS, columns=80).splitlines()
    rows = [tuple(part.strip() for part in line.split("|")) for line in lines[1:] if "|" in line]
    assert rows == [("long line", "c"), ("b", ""), ("d", "e"), ("", "f")]


def test_below_one_another() -> None:
    """A narrow terminal shows the same lines, each marked with its side."""
    lines = demo.layout(BLOCKS, columns=10).splitlines()[1:]
    assert lines == ["", "$ one", "[m] long line", "[m] b", "[c] c", "", "$ two", "[m] d", "[c] e", "[c] f"]


def test_a_launcher_that_cannot_start() -> None:
    """One line names the program and the reason."""
    with pytest.raises(DemoError, match=r"^/nonexistent cannot be started: No such file or directory$"):
        demo.outputs(["/nonexistent"])


def test_a_launcher_that_fails() -> None:
    """What the launcher said is passed on."""
    with pytest.raises(DemoError, match=r"in the container failed with exit code 3 and said: no fuse$"):
        demo.outputs(["sh", "-c", "echo no fuse >&2; exit 3"])
