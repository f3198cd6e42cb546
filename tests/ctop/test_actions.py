"""Actions and logs: what is refused, what is understood."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgroup_model.engines import Identity
from cgroup_model.hierarchy import Cgroup, Tree
from cgroup_model.mounts import Mounts
from cgroup_model.snapshot import UNLIMITED
from cgroup_model.source import CgroupGone
from cgscope.errors import Failure
from ctop.actions import Action, Machine, Target, actions, parse_cpus, parse_memory, parse_signal, parse_tasks, perform
from ctop.logs import find_log, last_lines
from ctop.times import parse_moment

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class OneCgroup:
    """A tree with one cgroup, ``/a`` with inode 5."""

    def cgroup(self, path: str) -> Cgroup:
        """Return it, and no other."""
        if path != "/a":
            raise CgroupGone(path)
        return Cgroup("/a", 5, {})


@pytest.mark.parametrize("target", [Target("/a", 6, "a"), Target("/b", 5, "b")])
def test_another_cgroup_is_left_alone(target: Target) -> None:
    """One that was made again under the same path, or is gone, is not what was asked about."""
    done: list[str] = []

    def do(_machine: Machine, one: Target, _argument: str) -> str:
        done.append(one.path)
        return "done"

    action = Action("do", "Do", "", do)
    machine = Machine(Mounts(()), cast("Tree", OneCgroup()))
    with pytest.raises(Failure, match="is gone; nothing was done"):
        perform(action, machine, target, "")
    assert done == []
    assert perform(action, machine, Target("/a", 5, "a"), "") == "done"


@pytest.mark.parametrize(("text", "number"), [("TERM", 15), ("sigkill", 9), (" 10 ", 10), ("64", 64)])
def test_signals(text: str, number: int) -> None:
    """Names with and without SIG, and numbers."""
    assert parse_signal(text) == number


def test_limits() -> None:
    """Numbers with units, and ``max``."""
    assert (parse_memory("512M"), parse_cpus(" 0.5 "), parse_tasks(" 100 ")) == (512 << 20, 0.5, 100)
    assert parse_memory("max") is parse_cpus("max") is parse_tasks(" max ") is UNLIMITED


@pytest.mark.parametrize("text", ["many", "-1", "nan", "1e400", "9" * 30, "0x10", "max2"])
def test_no_argument_is_taken_that_cannot_be_meant(text: str) -> None:
    """Whatever asks for an argument refuses these before anything is confirmed."""
    asking = [action for action in actions() if action.ask]
    assert {action.name for action in asking} == {"signal", "memory", "cpu", "pids"}
    for action in asking:
        with pytest.raises(ValueError, match=r".+"):
            action.check(text)


@pytest.mark.parametrize("text", ["", "0", "65", "-9", "NOPE", "SIG", "9x"])
def test_no_signals(text: str) -> None:
    """0 only asks, and -9 would be somebody else's meaning."""
    with pytest.raises(ValueError, match="is no signal"):
        parse_signal(text)


@given(
    st.sampled_from([parse_cpus, parse_memory, parse_signal, parse_tasks, partial(parse_moment, shown=NOON)]),
    st.text(max_size=8) | st.text("0123456789.:-+ eEmMTZSIGKL²٣", max_size=20),
)
def test_any_text_is_understood_or_refused(parse: Callable[[str], object], text: str) -> None:
    """What is typed into a dialog raises ValueError and nothing else."""
    with contextlib.suppress(ValueError):
        assert parse(text) is not None


def test_docker_log(tmp_path: Path) -> None:
    """The messages of the JSON, in order; a line that is no JSON stays as it is."""
    ident = "ab" * 32
    path = tmp_path / "var/lib/docker/containers" / ident / f"{ident}-json.log"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"log": "hello\n", "stream": "stdout"}) + "\n{broken\n", encoding="utf-8")
    found = find_log(Identity("docker", ident, "web", ident[:12]), str(tmp_path))
    assert found == str(path)
    assert last_lines(found) == ["hello", "{broken"]


def test_cri_log(tmp_path: Path) -> None:
    """Time, stream and flag are not the message."""
    path = tmp_path / "ctr.log"
    path.write_text("2026-01-01T12:00:00.0Z stdout F a message\nplain text\n", encoding="utf-8")
    assert last_lines(str(path)) == ["a message", "plain text"]


@pytest.mark.parametrize("ident", ["../../../etc/passwd", "*", "a/b", "", "[a-z]" * 3])
def test_ids_do_not_choose_files(tmp_path: Path, ident: str) -> None:
    """An id is part of a path: whoever names a container must not name a file with it."""
    assert find_log(Identity("docker", ident, None, ident), str(tmp_path)) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("13:30", "13:30:00"),
        ("09:05:07", "09:05:07"),
        ("-10m", "11:50:00"),
        ("+30s", "12:00:30"),
        ("2026-01-01 15:00", "15:00:00"),
    ],
)
def test_moments(text: str, expected: str) -> None:
    """On the day that is shown, or relative to it."""
    assert datetime.fromtimestamp(parse_moment(text, NOON), UTC).strftime("%H:%M:%S") == expected


@pytest.mark.parametrize("text", ["", "25:00", "12:60", "noon", "-x"])
def test_no_moments(text: str) -> None:
    """One line that says what is."""
    with pytest.raises(ValueError, match=r".+"):
        parse_moment(text, NOON)


def test_a_moment_beyond_all_calendars() -> None:
    """Far away is before or after everything, and no error."""
    assert parse_moment("-999999999d", NOON) < NOON.timestamp() < parse_moment(f"+{'9' * 400}d", NOON)
