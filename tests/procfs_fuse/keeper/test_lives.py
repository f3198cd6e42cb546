"""What outlives everybody: slots and counters of containers in a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from cgroup_model.layout import Cgroup
from procfs_fuse.identity import SlotTable
from procfs_fuse.keeper import lives
from procfs_fuse.keeper.lives import Lives


def test_slots_and_counters_come_back(tmp_path: Path) -> None:
    """Whoever opens the file next knows every container, its slot, and its last counters; the gone ones are gone."""
    first = Lives(str(tmp_path / "lives"))
    first.given(1, "/docker/a", 100)
    first.given(2, "/docker/b\udcff", 200)
    first.given(3, "/docker/c", 300)
    first.lived(1, "/docker/a", 100, ["/docker/a", 100, 1.5, {"age_usec": 7}, [1, 2, 3], 9])
    first.gone(3)
    second = Lives(str(tmp_path / "lives"))
    assert second.slots() == {"next": 4, "slots": [["/docker/a", 100, 1], ["/docker/b\udcff", 200, 2]]}
    assert second.histories() == [["/docker/a", 100, 1.5, {"age_usec": 7}, [1, 2, 3], 9]]


def test_numbers_are_never_used_again(tmp_path: Path) -> None:
    """Neither after the container's end nor after everybody's."""
    table = _table(tmp_path)
    slots = [table.slot_of(Cgroup(f"/{n}", n, {})) for n in range(1, 4)]
    table.keep_only([])
    again = _table(tmp_path)
    assert again.slot_of(Cgroup("/1", 1, {})) not in slots


def test_another_boot_begins_anew(tmp_path: Path) -> None:
    """Inode numbers of cgroups mean nothing after a boot."""
    proc = tmp_path / "proc/sys/kernel/random"
    proc.mkdir(parents=True)
    (proc / "boot_id").write_text("one\n")
    Lives(str(tmp_path / "lives"), str(tmp_path / "proc")).given(5, "/docker/a", 100)
    (proc / "boot_id").write_text("two\n")
    assert Lives(str(tmp_path / "lives"), str(tmp_path / "proc")).slots() == {"next": 1, "slots": []}


def test_file_of_another_version_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where that put one container's record, ours may be that of another one: none of them is taken over."""
    with monkeypatch.context() as before:
        small, *larger = lives._ROOMS
        before.setattr(lives, "_ROOMS", (small._replace(capacity=2 * small.capacity), *larger))
        for _ in range(2):  # each record has room for two versions
            written = Lives(str(tmp_path / "lives"))
            for slot in range(1, 9):
                written.given(slot, f"/docker/{slot}", slot)
    assert Lives(str(tmp_path / "lives")).slots() == {"next": 1, "slots": []}


@pytest.mark.parametrize("damage", [b"\xff", b"\0"])
def test_damage_is_survived(tmp_path: Path, damage: bytes) -> None:
    """Whatever is in the file, it opens; what makes no sense is dropped."""
    path = tmp_path / "lives"
    Lives(str(path)).given(1, "/docker/a", 100)
    data = bytearray(path.read_bytes())
    at = data.rindex(b"/docker/a")
    data[at - 20 : at + 40] = damage * 60
    path.write_bytes(data)
    assert Lives(str(path)).slots()["slots"] in ([], [["/docker/a", 100, 1]])


def _table(folder: Path) -> SlotTable:
    lives = Lives(str(folder / "lives"))
    table = SlotTable(lives.given, lives.gone)
    table.from_json(lives.slots())
    return table
