"""What the virtual /proc tells of itself, and what becomes of answers that are strange or do not come."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cgroup_model.procfs import Proc
from cgscope import state
from exporters.encoder import encode
from exporters.families import FAMILIES
from exporters.labels import NO_NAMES
from exporters.readers.procfs_fuse import Health, Instance, ProcfsFuseReader, state_dir
from exporters.sheet import Sheet
from exporters.subject import Machine, World
from tests.exporters.scenes import NOON

RECORD = {"mountpoint": "/p", "pid": 1, "started_at": 100.5, "transport": "kernel", "automatic": False}
KEEPER = {"worker_pids": [10, 11], "served": True, "restarts": 3, "hung": 1, "generation": 2, "repaired": [{}]}
WORKER = {
    "world": "v2",
    "containers": 4,
    "passthrough": False,
    "open_files": 5,
    "descriptors": 50,
    "not_kept": 0,
    "operations": {"open": {"read": 7}, "cached": {}},
    "errors": {"READ: KeyError": 2},
    "fallbacks": [{"file": "proc/stat", "reason": "cpu", "count": 6}],
    "unreadable": [{"part": "io", "reason": "OSError", "count": 8}],
}
ATTACHED = {
    "attached_total": 9,
    "failed_total": {"mount": 4, "hangs": 0},
    "timed_total": 8,
    "late_total": 2,
    "delay_seconds_total": 0.5,
    "containers": [{"problem": None}, {"problem": "no /proc"}, {"problem": None}],
}


@contextmanager
def answering(folder: Path, answers: Mapping[str, object]) -> Iterator[None]:
    """Have servers on sockets of a folder: name -> line that they answer with; None: they are silent."""
    servers = []
    try:
        for name, answer in answers.items():
            server = socket.socket(socket.AF_UNIX)
            server.bind(str(folder / name))
            server.listen()
            servers.append(server)
            if answer is not None:
                threading.Thread(target=_answer, args=(server, json.dumps(answer).encode() + b"\n")).start()
        yield
    finally:
        for server in servers:
            server.shutdown(socket.SHUT_RDWR)
            server.close()


def _answer(server: socket.socket, line: bytes) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with connection:
            connection.recv(4096)
            connection.sendall(line)


@pytest.fixture
def proc(tmp_path: Path) -> Iterator[Proc]:
    """A /proc with a worker that is theirs, and a number that is somebody else's."""
    for pid, name in ((10, "procfs-worker"), (11, "bash) 1 2 3 (procfs-x")):
        (tmp_path / f"proc/{pid}").mkdir(parents=True)
        numbers = ["S", *map(str, range(4, 14)), "200", "50", *map(str, range(16, 23)), "1000", "25"]
        (tmp_path / f"proc/{pid}/stat").write_text(f"{pid} ({name}) {' '.join(numbers)}\n")
    (tmp_path / "proc/self").symlink_to("/proc/self")
    found = Proc(str(tmp_path / "proc"))
    yield found
    found.close()


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A state directory with the record of one instance."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / state.RECORD).write_text(json.dumps(RECORD))
    return tmp_path / "state"


def page_of(reader: ProcfsFuseReader) -> list[str]:
    """Encode the family; gives the values' lines."""
    family = FAMILIES["procfs_fuse"]
    sheet = Sheet([family])
    machine = Machine(World(procfs_fuse=reader), NOON)
    for part in sheet.parts["procfs_fuse"]:
        part.rows += [(NO_NAMES, labels, part.group.values(record)) for labels, record in part.group.rows(machine)]
    text = b"".join(encode(sheet, "text")).decode()
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_everything_that_is_told_is_a_metric(base: Path, proc: Proc) -> None:
    """Numbers of keeper and worker, of what was attached, of processes and the agent; a foreign process is none."""
    (base / state.ATTACHED).write_text(json.dumps(ATTACHED))
    agent = {"ok": {"answered": 5, "continued": 1, "listeners": 2}}
    with answering(base, {state.CONTROL: {"ok": KEEPER}, state.SERVICE: {"ok": WORKER}, state.AGENT: agent}):
        found = page_of(ProcfsFuseReader(str(base), proc))
    ticks, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGESIZE")
    on = 'mountpoint="/p"'
    assert set(found) == {
        f"procfs_fuse_up{{{on}}} 1",
        f"procfs_fuse_serving{{{on}}} 1",
        f"procfs_fuse_start_time_seconds{{{on}}} 100.5",
        f"procfs_fuse_workers{{{on}}} 2",
        f"procfs_fuse_worker_replacements_total{{{on}}} 3",
        f"procfs_fuse_workers_hung_total{{{on}}} 1",
        f"procfs_fuse_upgrades{{{on}}} 2",
        f"procfs_fuse_containers_repaired{{{on}}} 1",
        f"procfs_fuse_containers{{{on}}} 4",
        f"procfs_fuse_passthrough{{{on}}} 0",
        f"procfs_fuse_open_files{{{on}}} 5",
        f"procfs_fuse_open_descriptors{{{on}}} 50",
        f"procfs_fuse_records_not_kept_total{{{on}}} 0",
        f'procfs_fuse_info{{{on},transport="kernel",cgroups="v2"}} 1',
        f'procfs_fuse_requests_total{{{on},connection="open",operation="read"}} 7',
        f'procfs_fuse_errors_total{{{on},kind="READ: KeyError"}} 2',
        f'procfs_fuse_fallbacks_total{{{on},file="proc/stat",reason="cpu"}} 6',
        f'procfs_fuse_read_problems_total{{{on},part="io",reason="OSError"}} 8',
        f"procfs_fuse_attached_containers{{{on}}} 2",
        f"procfs_fuse_unattached_containers{{{on}}} 1",
        f"procfs_fuse_attaches_total{{{on}}} 9",
        f'procfs_fuse_attach_failures_total{{{on},reason="mount"}} 4',
        f'procfs_fuse_attach_failures_total{{{on},reason="hangs"}} 0',
        f"procfs_fuse_attach_delay_seconds_total{{{on}}} 0.5",
        f"procfs_fuse_timed_attaches_total{{{on}}} 8",
        f"procfs_fuse_late_attaches_total{{{on}}} 2",
        f'procfs_fuse_process_cpu_seconds_total{{{on},process="worker"}} {250 / ticks:g}',
        f'procfs_fuse_process_resident_memory_bytes{{{on},process="worker"}} {25 * page}',
        'procfs_fuse_agent_calls_total{outcome="answered"} 5',
        'procfs_fuse_agent_calls_total{outcome="continued"} 1',
        "procfs_fuse_agent_containers 2",
    }


@pytest.mark.parametrize("answer", [None, {"error": "no"}, {"ok": 7}, [], "x"], ids=str)
def test_who_does_not_answer_is_not_up(base: Path, proc: Proc, answer: object) -> None:
    """A record without a sensible answer within the patience of a scrape: 0; what only an answer tells is absent."""
    moments = iter([0.0, 1.9, *[9.0] * 9])
    with answering(base, {state.CONTROL: answer}):
        found = page_of(ProcfsFuseReader(str(base), proc, lambda: next(moments)))
    assert found == ['procfs_fuse_up{mountpoint="/p"} 0', 'procfs_fuse_start_time_seconds{mountpoint="/p"} 100.5']


def test_a_keeper_without_a_worker_is_up_and_does_not_serve(base: Path, proc: Proc) -> None:
    """Two faults that need different answers."""
    with answering(base, {state.CONTROL: {"ok": {**KEEPER, "served": False}}}):
        found = page_of(ProcfsFuseReader(str(base), proc))
    assert {'procfs_fuse_up{mountpoint="/p"} 1', 'procfs_fuse_serving{mountpoint="/p"} 0'} <= set(found)
    assert not [line for line in found if "containers{" in line]


@pytest.mark.parametrize("record", ["", "{", "[]", "{}", '{"mountpoint": 7}'])
def test_records_that_are_none(base: Path, proc: Proc, record: str) -> None:
    """A file that is being written, or is not ours to understand, is no instance."""
    (base / state.RECORD).write_text(record)
    assert ProcfsFuseReader(str(base), proc).read() == Health(())


@pytest.mark.parametrize("attached", ["{", "[]", "{}", '{"containers": 7}', '{"containers": [{}]}'])
def test_reports_that_are_none(base: Path, proc: Proc, attached: str) -> None:
    """The same for what was attached; everything else is told."""
    (base / state.ATTACHED).write_text(attached)
    with answering(base, {state.CONTROL: {"ok": KEEPER}, state.SERVICE: {"ok": WORKER}}):
        found = page_of(ProcfsFuseReader(str(base), proc))
    assert 'procfs_fuse_up{mountpoint="/p"} 1' in found
    assert not [line for line in found if "attach" in line]


def test_nothing_mounted_nothing_told(tmp_path: Path, proc: Proc) -> None:
    """Most machines with an exporter have no virtual /proc: no series, no error."""
    assert page_of(ProcfsFuseReader(str(tmp_path / "none"), proc)) == []


def test_one_question_for_a_scrape(base: Path, proc: Proc) -> None:
    """All metrics of a page are of one moment; the next scrape asks anew."""
    reader = ProcfsFuseReader(str(base), proc)
    first = reader.read()
    assert reader.read() is first
    (base / state.RECORD).unlink()
    reader.begin()
    assert reader.read() == Health(())


def test_where_the_state_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of this machine, where the commands have it; of another file system, in its own /run."""
    monkeypatch.delenv(state.STATE_DIR_VARIABLE, raising=False)
    assert state_dir("/") == "/run/procfs-fuse"
    monkeypatch.setenv(state.STATE_DIR_VARIABLE, "/elsewhere")
    assert state_dir("/") == "/elsewhere"
    assert state_dir("/host/") == "/host/run/procfs-fuse"


def test_unknown_is_not_zero() -> None:
    """An older server that does not tell a number leaves it out."""
    one: Any = Instance("/p", "kernel", 1.0, {"served": True}, {})
    assert one.told("hung") is None
    assert (one.up, one.serving) == (True, True)
