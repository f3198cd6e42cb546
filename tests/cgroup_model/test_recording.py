"""Recordings: what goes in comes out, also after SIGKILL, within bounds, whatever the file holds."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgroup_model.codec import Memo, decode, encode
from cgroup_model.engines import Identity, Kind
from cgroup_model.machine import Machine
from cgroup_model.rates import Interface, Moment
from cgroup_model.recording import Look, Recorded, Recorder, Recording, RecordingError, pack, unpack
from cgroup_model.snapshot import (
    UNLIMITED,
    Cpu,
    Host,
    Io,
    IoDevice,
    Load,
    Memory,
    MemoryBounds,
    MemoryEvents,
    MemoryStat,
    Pids,
    Pressure,
    PressureLine,
    PressureResource,
    ShownCpus,
    Snapshot,
    Throttling,
)

LIMIT = st.none() | st.just(UNLIMITED) | st.integers(0, 1 << 63)
LINE = st.builds(PressureLine, *[st.floats(0, 100)] * 3, st.integers(0, 1 << 60))


def look(seconds: float, *, oom: int = 0, path: str = "/a", filling: str = "") -> Look:
    """Return a look with one cgroup."""
    snapshot = Snapshot(
        path=path,
        host=Host(online_cpus=(0, 1)),
        taken_at=seconds,
        memory=Memory(current=5, max=UNLIMITED, stat=MemoryStat(anon=3), events=MemoryEvents(oom_kill=oom)),
        memory_bounds=MemoryBounds(max=UNLIMITED, swap_max=7),
        cpu=Cpu(usage_usec=1, per_cpu_usec={0: (1, 2), 3: (4, 5)}, throttling=Throttling(nr_periods=0)),
        cpus=ShownCpus((0,), (0, 1), 0.5, "/"),
        io=Io((IoDevice(8, 0, 1, rbps_max=UNLIMITED),)),
        pids=Pids(0, UNLIMITED),
        pressure=Pressure(cpu=PressureResource(some=PressureLine(1.0, 2.0, 3.0, 4))),
        load=Load(0.0, 1.0, 2.0),
    )
    who = Identity("docker", "i" * 64, "näme\udcff", "i" * 12, labels={"a": filling}, kind=Kind.CONTAINER)
    moment = Moment(9, snapshot, (Interface("eth0", *range(8)),))
    return Look(seconds, "host", "v2", Machine(cpus=2, cpu_ticks=(1, 2)), ("io",), (Recorded(path, 9, who, moment),))


def test_round_trip() -> None:
    """Unknown, unlimited and zero come back as three things; nested records, tuples and names too."""
    assert unpack(pack(look(1.5))) == look(1.5)


@given(st.builds(Memory, st.none() | st.integers(0), LIMIT, LIMIT), st.builds(PressureResource, st.none() | LINE, LINE))
def test_any_record_comes_back(memory: Memory, pressure: PressureResource) -> None:
    """Whatever a kernel says."""
    assert decode(Memory, encode(memory)) == memory
    assert decode(PressureResource, encode(pressure)) == pressure


def test_the_same_record_is_encoded_once() -> None:
    """As long as it comes again each time; an equal one that is another object is encoded for itself."""
    memo, record = Memo(), Memory(current=5, stat=MemoryStat(anon=3))
    first = encode(record, memo)
    for _ in range(3):
        memo.turn()
        assert encode(record, memo) is first
    assert encode(replace(record), memo) is not first
    memo.turn()
    memo.turn()
    assert encode(record, memo) is not first
    assert encode(record, memo) == first


def test_what_is_remembered_changes_nothing() -> None:
    """Looks that share records are packed as each of them alone would be."""
    memo, one = Memo(), look(1.0)
    for seconds in (1.0, 2.0, 3.0):
        shown = replace(one, taken_at=seconds, cgroups=(*one.cgroups, *look(seconds, oom=int(seconds)).cgroups))
        assert pack(shown, memo) == pack(shown)
        memo.turn()


def test_raw_files_of_the_host_are_not_kept() -> None:
    """A recording is shown to others: it has no more of the host than what is on the screen."""
    one = look(1.0).cgroups[0]
    rich = replace(
        one, moment=replace(one.moment, snapshot=replace(one.moment.snapshot, host=Host(meminfo=b"MemTotal")))
    )
    assert unpack(pack(replace(look(1.0), cgroups=(rich,)))).cgroups[0].moment.snapshot.host.meminfo is None


def test_what_a_newer_version_wrote_is_skipped() -> None:
    """Unknown keys do no harm."""
    assert decode(Load, {"one": 1, "five": 2.0, "fifteen": 3.0, "sixty": 4}) == Load(1.0, 2.0, 3.0)


@pytest.mark.parametrize("data", [None, 5, [], {"one": "x", "five": 1, "fifteen": 1}, {"one": 1}])
def test_nonsense_raises_value_error(data: object) -> None:
    """Never anything else."""
    with pytest.raises(ValueError, match="not a Load"):
        decode(Load, data)


def test_record_and_replay(tmp_path: Path) -> None:
    """Looks come in order; times find them; kills are found."""
    path = str(tmp_path / "r.db")
    recorder = Recorder(path)
    for seconds, oom in ((10.0, 0), (11.0, 0), (12.0, 2), (13.0, 2)):
        assert recorder.add(look(seconds, oom=oom))
    recorder.close()
    with contextlib.closing(Recording(path)) as recording:
        assert recording.times == [10.0, 11.0, 12.0, 13.0]
        assert recording.look(1) == look(11.0)
        assert [recording.at(seconds) for seconds in (0.0, 11.5, 99.0)] == [0, 1, 3]
        assert recording.next_oom(0) == 2
        assert recording.next_oom(2) is None
    assert sorted(file.name for file in tmp_path.iterdir()) == ["r.db"]


def test_age_and_size_are_bounded(tmp_path: Path) -> None:
    """The oldest go; the newest stay."""
    path = str(tmp_path / "r.db")
    recorder = Recorder(path, most_seconds=100.0)
    for second in range(320):
        recorder.add(look(float(second)))
    recorder.close()
    with contextlib.closing(Recording(path)) as recording:
        assert 100 <= len(recording) <= 120
    small = Recorder(path, most_bytes=60_000)
    for second in range(320, 640):
        small.add(look(float(second), filling=os.urandom(500).hex()))
    small.close()
    with contextlib.closing(Recording(path)) as recording:
        assert recording.times[-1] == 639.0
        assert 20 < len(recording) < 120
    assert os.path.getsize(path) < 200_000


def test_sigkill_leaves_whole_looks(tmp_path: Path) -> None:
    """Whoever dies while writing leaves a recording that replays, with all that it said it had written."""
    path = str(tmp_path / "r.db")
    code = f"""
import sys
from cgroup_model.machine import Machine
from cgroup_model.recording import Look, Recorder
recorder = Recorder({path!r})
for second in range(1000000):
    recorder.add(Look(float(second), "h", "v2", Machine()))
    print(second, flush=True)
"""
    for _round in range(3):
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(40)]
            process.send_signal(signal.SIGKILL)
            lines += process.stdout.readlines()
        written = int([line for line in lines if line.endswith("\n")][-1])
        with contextlib.closing(Recording(path)) as recording:
            assert recording.times[-1] >= written
            assert recording.look(len(recording) - 1).hostname == "h"


def test_a_full_disk_costs_the_past(tmp_path: Path) -> None:
    """When nothing more can be written, old looks make room; the recorder neither raises nor stops."""
    path = str(tmp_path / "r.db")
    recorder = Recorder(path)
    pages = recorder._database.execute("PRAGMA page_count").fetchone()[0]
    recorder._database.execute(f"PRAGMA max_page_count = {pages + 40}")  # as good as a full disk
    added = [recorder.add(look(float(second), filling=os.urandom(2000).hex())) for second in range(200)]
    recorder.close()
    assert sum(added) > 150
    with contextlib.closing(Recording(path)) as recording:
        assert recording.times[-1] > 150.0


@pytest.mark.parametrize(
    "content", [b"", b"not a database at all, but long enough to be one" * 100, b"SQLite format 3\0" + b"\xff" * 5000]
)
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    """One line that names the file; no file is made or changed."""
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=rf"{path}: (it is no recording of ctop|file is not a database)"):
        Recording(str(path))
    assert path.read_bytes() == content
    with pytest.raises(RecordingError):
        Recording(str(tmp_path / "missing"))
    assert not (tmp_path / "missing").exists()


def test_a_damaged_look_is_one_error(tmp_path: Path) -> None:
    """The others can still be seen."""
    path = str(tmp_path / "r.db")
    recorder = Recorder(path)
    for second in range(3):
        recorder.add(look(float(second)))
    recorder.close()
    database = sqlite3.connect(path)
    with database:
        database.execute("UPDATE looks SET data = x'0011' WHERE id = 2")
    database.close()
    with contextlib.closing(Recording(path)) as recording:
        with pytest.raises(RecordingError, match="look 2 is damaged"):
            recording.look(1)
        assert recording.look(2) == look(2.0)
