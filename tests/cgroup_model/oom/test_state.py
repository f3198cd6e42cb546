"""What is remembered across restarts."""

from __future__ import annotations

from pathlib import Path

import pytest

from cgroup_model.engines import Identity, Kind
from cgroup_model.oom import Victim
from cgroup_model.oom.ledger import Entry
from cgroup_model.oom.state import State, StateFile

STATE = State(
    boot_id="x",
    saved_epoch=12.5,
    machine_base=3,
    attributed=2,
    unattributed=1,
    entries=(
        Entry(
            "/a\udcff",
            7,
            past=1,
            own=1,
            identity=Identity("docker", "ab", "web", "ab", image="nginx", labels={"a": "b"}, kind=Kind.CONTAINER),
            victims=(Victim(1.0, 2, "comm"),),
        ),
    ),
    recent=(Victim(1.0, 2, "comm"),),
)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    """Everything, also names that are no text; twice, since the file is replaced."""
    path = str(tmp_path / "deep" / "oom.json")
    for _ in range(2):
        file = StateFile(path)
        file.save(STATE)
        assert file.load() == STATE
        file.close()
    assert [one.name for one in sorted((tmp_path / "deep").iterdir())] == ["oom.json", "oom.json.lock"]


def test_the_first_time_there_is_nothing(tmp_path: Path) -> None:
    """No file is no error."""
    file = StateFile(str(tmp_path / "oom.json"))
    assert file.load() is None
    file.close()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"version": 2, "state": {}}', '{"version": 1, "state": 5}', "null"]
)
def test_damage_is_told_and_survived(tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture) -> None:
    """The ledger begins anew, and one line says so."""
    (tmp_path / "oom.json").write_text(text)
    file = StateFile(str(tmp_path / "oom.json"))
    assert file.load() is None
    assert "begins anew" in caplog.text
    file.close()


def test_two_processes_do_not_share_it(tmp_path: Path) -> None:
    """The second is refused, until the first has ended."""
    first = StateFile(str(tmp_path / "oom.json"))
    with pytest.raises(BlockingIOError):
        StateFile(str(tmp_path / "oom.json"))
    first.close()
    StateFile(str(tmp_path / "oom.json")).close()


def test_a_crash_while_writing_leaves_the_old_one(tmp_path: Path) -> None:
    """What is half written has another name."""
    path = tmp_path / "oom.json"
    file = StateFile(str(path))
    file.save(STATE)
    (tmp_path / "oom.json.new").write_text('{"version": 1, "st')
    assert file.load() == STATE
    file.save(STATE)
    assert file.load() == STATE
    file.close()
