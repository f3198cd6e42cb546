"""Readers of what costs more: connections, scheduling, marks of systemd-oomd."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from cgroup_model.hierarchy import Cgroup
from cgroup_model.procfs import NoSuchTask
from exporters.readers.network import STATES, count_states
from exporters.readers.oomd import Marks, OomdReader
from exporters.readers.schedstat import SchedstatReader, Waiting

WEB = Cgroup("/web", 7, {})


def test_sockets_are_counted_by_state() -> None:
    """Each line once, by its state; other words that look similar are none; all states are told, also those of 0."""
    table = (
        b"  sl  local_address rem_address   st tx_queue\n"
        b"   0: 0100007F:8B1D 00000000:0000 0A 00000000:00000000 00:00000000\n"
        b" 100: 0100007F:8B1D 0100007F:0001 01 00000000:00000000 00:00000000\n"
        b"1000: 00000000000000000000000001000000:1 00000000000000000000000001000000:2 01 00000000:0A000000 x\n"
    )
    counted = count_states(table)
    assert {name: number for name, number in counted.items() if number} == {"listen": 1, "established": 2}
    assert set(counted) == set(STATES.values())


def test_a_real_table_of_many_sockets_is_read_to_its_end() -> None:
    """The kernel gives a page at a time: a hundred listening sockets are two."""
    before = count_states(Path("/proc/self/net/tcp").read_bytes())["listen"]
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(100)]
    try:
        assert count_states(Path("/proc/self/net/tcp").read_bytes())["listen"] >= before + 90
    finally:
        for one in sockets:
            one.close()


class Processes:
    """Stands for a container's processes, and for their files: pid -> schedstat."""

    root = "/proc"

    def __init__(self) -> None:
        self.files: dict[int, str] = {}

    def below(self, _cgroup: Cgroup) -> list[int]:
        """List pids."""
        return [*self.files, 999]

    def read(self, name: str) -> bytes:
        """Read a file."""
        pid = int(name.partition("/")[0])
        if pid not in self.files:
            raise NoSuchTask(pid)
        return self.files[pid].encode()


def test_waiting_never_falls() -> None:
    """What processes had stays when they end, also when somebody else has their pid; another life begins anew."""
    world = Processes()
    reader = SchedstatReader(world, world)  # type: ignore[arg-type]
    assert reader.read(WEB) is None
    world.files = {1: "10 1 2\n", 2: "5 5 5\n"}
    assert reader.read(WEB) == Waiting(15, 6, 7)
    world.files = {1: "20 2 4\n"}
    assert reader.read(WEB) == Waiting(25, 7, 9)
    world.files = {1: "3 0 1\n"}
    assert reader.read(WEB) == Waiting(28, 7, 10)
    world.files = {1: "nonsense\n"}
    assert reader.read(WEB) == Waiting(28, 7, 10)
    reader.keep_only(set())
    assert reader.read(WEB) is None


def test_marks_of_oomd(tmp_path: Path) -> None:
    """Numbers in extended attributes; none is unknown, nonsense as well."""

    class Tree:
        def layout(self, _cgroup: Cgroup) -> Tree:
            return self

        directories = {"": str(tmp_path)}  # noqa: RUF012

    reader = OomdReader(Tree())  # type: ignore[arg-type]
    assert reader.read(WEB) == Marks()
    try:
        os.setxattr(tmp_path, "user.oomd_kill", b"12")
        os.setxattr(tmp_path, "user.oomd_ooms", b"many")
    except OSError as error:
        pytest.skip(f"no extended attributes here: {error.strerror}")
    assert reader.read(WEB) == Marks(12, None)
    Tree.directories = {}
    assert reader.read(WEB) is None
