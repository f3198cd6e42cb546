"""What can be stepped back through: the same as it was, and as much of it as was said."""

from __future__ import annotations

from dataclasses import replace

from ctop.remembered import Remembered
from ctop.scene import Entry, Scene
from tests.ctop.scenes import MIB, entry, scene

SEEN = 40  # rows of a large terminal


def surveyed(number: int, inode: int = 1) -> Entry:
    """Return an entry out of sight."""
    whole = entry(f"/job-{number:04}", cores=0.0)
    return Entry(whole.path, inode, whole.identity, whole.brief)


def looks(count: int) -> list[Scene]:
    """Return looks at a thousand cgroups: those in sight never rest, and others come, go and are made again."""
    idle = [surveyed(number) for number in range(1000)]
    found = []
    for look in range(count):
        idle[look % 1000] = surveyed(look % 1000, inode=look + 2)
        rows = [entry(f"/busy-{row}", cores=row + look / 7, memory=look * MIB + row * 4096) for row in range(SEEN)]
        first = look % 10  # those before are gone for this look
        found.append(replace(scene([*idle[first:], *rows]), taken_at=1000.0 + look))
    return found


def test_scenes_come_back_as_they_were() -> None:
    """Every entry of every scene, across all bases that they share."""
    past, shown = Remembered(), looks(70)
    for one in shown:
        past.add(one)
    assert len(past) == len(shown)
    for position, one in enumerate(shown):
        assert past.scene(position) == one


def test_how_far_back() -> None:
    """Half a MiB holds thirty looks at a thousand cgroups with forty busy rows in sight; the oldest go first."""
    past, shown = Remembered(most_bytes=1 << 19), looks(70)
    for one in shown:
        past.add(one)
    assert 30 <= len(past) < 70
    assert past.scene(len(past) - 1) == shown[-1]
    assert past.scene(0) == shown[-len(past)]


def test_the_last_scene_is_always_there() -> None:
    """However little may be kept."""
    past = Remembered(most_bytes=1)
    for one in looks(3):
        past.add(one)
        assert len(past) == 1
        assert past.scene(0) == one


def test_times_and_kills() -> None:
    """A time finds the last scene at or before it; the next kill is the next scene with one."""
    past = Remembered()
    for second, kills in enumerate((0, 2, 0, 1)):
        one = entry("/a")
        assert one.rates is not None
        one = replace(one, rates=replace(one.rates, oom_kills=kills))
        past.add(replace(scene([one]), taken_at=100.0 + second))
    assert [past.at(seconds) for seconds in (0.0, 100.0, 101.5, 999.0)] == [0, 0, 1, 3]
    assert past.next_oom(-1) == 1
    assert past.next_oom(1) == 3
    assert past.next_oom(3) is None
