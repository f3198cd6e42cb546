"""Recorded scenes are whole, say how they were made, name nobody, and are understood by the model."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from cgroup_model.snapshot import Need
from tests.scenes import FIXTURES, Replay, names
from tests.scenes.anonymous import Anonymous, Numbers
from tests.scenes.archive import ArchiveError, Entry, Link, dump, load
from tests.scenes.enlarge import ENLARGED, enlarged
from tests.scenes.recipes import RECIPES

WORLDS = {"v1-docker": "v1", "hybrid-docker": "hybrid"}


@pytest.fixture(params=names())
def scene(request: pytest.FixtureRequest) -> str:
    """Return each scene in turn."""
    return str(request.param)


@pytest.mark.parametrize(
    "entries",
    [
        {},
        {"empty": b"", "line": b"\n", "two": b"a\n\nb\n", "cut": b"no end", "z": b""},
        {"link": Link("pid:[4026531836]"), "file": b"==>\n", "deep/a b": b" ==> c\n"},
    ],
)
def test_an_archive_gives_back_what_was_put_in(entries: dict[str, Entry]) -> None:
    """Empty files, empty lines and missing last newlines included."""
    assert load(dump(entries)) == entries


@pytest.mark.parametrize(
    "entries", [{"a": b"==> b\n"}, {"a": b"x\n==> b\n"}, {"a\nb": b""}, {"a -> b": b""}, {"a": b"\0"}]
)
def test_what_an_archive_cannot_hold_is_refused(entries: dict[str, Entry]) -> None:
    """Nothing is written that would read as something else."""
    with pytest.raises(ArchiveError):
        dump(entries)


def test_names_and_numbers_are_replaced() -> None:
    """The machine's name, tasks of others, random ids; the same id by the same one everywhere."""
    anonymous = Anonymous(Numbers([4711, 9], first=100), hostname="db-7.prod")
    key = b"3f" * 32
    assert (
        anonymous.text(b"at db-7.prod, not db-7.production: " + key)
        == b"at machine, not db-7.production: " + b"01" * 32
    )
    assert anonymous.text(b"pod1dbe5e0c_6d1c_4c5e_9a57_0c8f8e7f9d11/" + key).endswith(b"/" + b"01" * 32)
    assert anonymous.tasks(b"9\n12\n4711\n") == b"100\n101\n"
    assert anonymous.task_file("stat", b"9 (a) b) S 4711 12 0 0 -1 4\n") == b"101 (a) b) S 100 1 0 0 -1 4\n"
    assert (
        anonymous.task_file("status", b"Name:\tx\nPPid:\t77\nNSpid:\t9\t1\n") == b"Name:\tx\nPPid:\t1\nNSpid:\t101\t1\n"
    )
    assert anonymous.own_cgroups(b"4:memory:/secret/unit\n0::/user\n") == b"4:memory:/\n0::/\n"
    assert anonymous.namespace("pid:[4026531836]") == "pid:[4026531836]"
    assert anonymous.namespace("pid:[4026539999]") == "pid:[4026532100]"


def test_a_scene_says_how_it_was_made(scene: str) -> None:
    """Kernel, engine and command are beside every scene, and every scene can be made again."""
    text = FIXTURES.joinpath(scene, "SCENE.md").read_text()
    assert all(word in text for word in ("kernel: Linux ", "engine: ", f"python -m tests.scenes record {scene}"))
    assert scene in {*RECIPES, *ENLARGED}


def test_a_scene_names_nobody(scene: str) -> None:
    """No random id but ours, which count; no directory of the recorder; not this machine's name."""
    text = FIXTURES.joinpath(scene, "machine.txt").read_text()
    for found in re.findall(r"[0-9a-f]{64}", text):
        assert found == found[:2] * 32
    assert "/home" not in text
    assert os.getcwd() not in text
    assert not re.search(r"(?m)^host\s*: Linux (?!machine$)", text)


def test_a_scene_is_read_like_the_machine_it_was(scene: str, tmp_path: Path) -> None:
    """World and containers are found, and of each container every part that its kernel counts is known."""
    with Replay(scene, tmp_path) as replay:
        assert replay.tree.mounts.world == WORLDS.get(scene, "v2")
        containers = list(replay.tree.containers().values())
        assert len(containers) == (4 if scene == "v2-kubernetes" else 3)
        for cgroup in containers:
            snapshot = replay.collector.snapshot(cgroup, ~Need.NOTHING)
            known = (snapshot.memory, snapshot.cpu, snapshot.cpus, snapshot.pids, snapshot.tasks, snapshot.age_seconds)
            assert None not in known
            assert snapshot.tasks is not None
            assert snapshot.tasks.processes == 2
            assert snapshot.tasks.total == 3
        assert not replay.collector.problems


def test_limits_of_a_scene_are_the_recipes(scene: str, tmp_path: Path) -> None:
    """The one container with limits of its own shows them, and the one below a limited ancestor that one's."""
    with Replay(scene, tmp_path) as replay:
        bounds = {}
        for path, cgroup in replay.tree.containers().items():
            found = replay.collector.snapshot(cgroup, Need.MEMORY | Need.CPUS)
            assert found.memory_bounds is not None
            assert found.cpus is not None
            bounds[path] = (found.memory_bounds.max, found.cpus.quota_cpus)
    expected = [(64 << 20, 0.5), (128 << 20, 0.75)] if scene == "v2-kubernetes" else [(64 << 20, 0.5), (96 << 20, 1.0)]
    assert all(pair in bounds.values() for pair in expected), bounds


def test_an_enlarged_machine_is_computed_from_its_source() -> None:
    """The committed files are what the code makes of the recorded ones today."""
    for name in ENLARGED:
        assert load(FIXTURES.joinpath(name, "machine.txt").read_bytes()) == enlarged(name)
