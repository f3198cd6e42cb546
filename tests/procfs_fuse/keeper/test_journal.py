"""What a worker leaves to the next: its request, what it cost, and what readers were given."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

import pytest

from cgroup_model.layout import Cgroup
from procfs_fuse.filesystem import Containers, OpenFileSystem
from procfs_fuse.identity import SlotTable
from procfs_fuse.keeper import journal
from procfs_fuse.keeper.journal import Journal, Kept
from procfs_fuse.layout import Layout
from procfs_fuse.transport.wire import RESENT
from procfs_fuse.views import VIEWS

HEADER_NUMBER = 8  # where the request's number is (fuse_in_header)


@pytest.fixture
def memory() -> Iterator[int]:
    """A journal."""
    fd = journal.create()
    yield fd
    os.close(fd)


def begin(view: Journal, unique: int) -> None:
    """Have slot 0 be in the middle of a request."""
    buffer = view.buffer(0, "open")
    buffer[:4] = (100).to_bytes(4, "little")
    buffer[HEADER_NUMBER : HEADER_NUMBER + 8] = unique.to_bytes(8, "little")


def test_request_under_way_is_seen_by_others(memory: int) -> None:
    """By its number as it was read; a cleared one is none."""
    mine, other = Journal(memory), Journal(memory)
    begin(mine, 6 | RESENT)
    assert (other.under_way(0, "open"), other.under_way(0, "cached"), other.busy_slot()) == (6 | RESENT, 0, 0)
    mine.clear(0, "open")
    assert (other.under_way(0, "open"), other.busy_slot()) == (0, None)


def test_deaths_are_counted_for_one_request(memory: int) -> None:
    """The same request adds up, delivered again or not, and in whoever's hands; another one begins at nothing."""
    view = Journal(memory)
    begin(view, 6)
    assert [view.charge(0, "open", 1), Journal(memory).charge(0, "open", 2)] == [1, 3]
    begin(view, 6 | RESENT)
    assert view.charge(0, "open", 1) == 4
    begin(view, 8)
    assert view.charge(0, "open", 1) == 1


def test_charter_of_another_version_is_refused(memory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that is laid out differently must not be taken over."""
    view = Journal(memory)
    view.set_charter({"mountpoint": "/mnt"})
    assert Journal(memory).charter()["mountpoint"] == "/mnt"
    monkeypatch.setattr(journal, "FORMAT", journal.FORMAT + 1)
    with pytest.raises(ValueError, match="another version"):
        Journal(memory).charter()


class Renderings:
    """Contents of which no two are the same."""

    passthrough = False

    def __init__(self) -> None:
        self.count = 0

    def of_container(self, _cgroup: Cgroup, _view: object) -> bytes:
        """The next one."""
        self.count += 1
        return b"%d\n" % self.count

    def latest(self, _cgroup: Cgroup, _view: object) -> None:
        """None that would be the same."""


class One:
    """A machine with one container."""

    def __init__(self, cgroup: Cgroup) -> None:
        self._cgroup = cgroup

    def containers(self) -> Mapping[str, Cgroup]:
        """It."""
        return {"a": self._cgroup}

    def find(self, _key: str) -> Cgroup:
        """It."""
        return self._cgroup

    cgroup = find

    def is_alive(self, _cgroup: Cgroup) -> bool:
        """It is."""
        return True


def filesystem(view: Journal, contents: Renderings) -> OpenFileSystem:
    """What a worker serves, with one container that every caller is in."""
    cgroup = Cgroup("/docker/a", 7, {})
    slots = SlotTable()
    slots.slot_of(cgroup)
    layout = Layout([VIEWS["proc/uptime"]])
    containers = Containers(One(cgroup), slots)
    served = OpenFileSystem(layout, containers, contents, lambda _pid: cgroup, kept=Kept(view, 0, "open"))  # type: ignore[arg-type]
    served.restore()
    return served


def test_repeated_request_gets_the_same_bytes(memory: int) -> None:
    """A read that may have been answered already is not rendered anew; the next read from the start is."""
    view, contents = Journal(memory), Renderings()
    node = next(index for index, item in Layout([VIEWS["proc/uptime"]]).items.items() if item.view)
    first = filesystem(view, contents)
    fh = first.open(node, os.O_RDONLY, 1)
    begin(view, 10)
    assert first.read(node, fh, 0, 100, 1) == b"1\n"
    second = filesystem(view, contents)
    assert second.read(node, fh, 0, 100, 1) == b"1\n"
    begin(view, 12)
    assert second.read(node, fh, 1, 100, 1) == b"\n"
    assert second.read(node, fh, 0, 100, 1) == b"2\n"
    second.release(node, fh)
    assert filesystem(view, contents).open_handles == 0
