"""The kernel's log: records, escapes, what was lost."""

from __future__ import annotations

import os
import time
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgroup_model.kmsg import DEVICE, KernelLog, LogRecord, parse_record

DEADLINE_SECONDS = 60


@pytest.mark.parametrize(
    ("data", "record"),
    [
        (b"4,3031,126,-;a b: c\n", LogRecord(3031, 4, 0, 9.0, "a b: c")),
        (b"30,7,1,-;systemd[1]: hello\n SUBSYSTEM=acpi\n DEVICE=+acpi\n", LogRecord(7, 6, 3, 9.0, "systemd[1]: hello")),
        (b"6,8,1,c,caller=T1;x\\x0ay\\xff\n", LogRecord(8, 6, 0, 9.0, "x\ny\udcff")),
        (b"6,8,1,-;\n", LogRecord(8, 6, 0, 9.0, "")),
    ],
)
def test_records(data: bytes, record: LogRecord) -> None:
    """Level and facility, sequence and text; escapes are undone, lines about devices left out."""
    assert parse_record(data, 9.0) == record


@pytest.mark.parametrize("data", [b"", b";", b"6,8;x", b"a,b,c;x", b"6,8,1,- no semicolon"])
def test_what_is_no_record_is_none(data: bytes) -> None:
    """Nonsense is skipped, not guessed at."""
    assert parse_record(data, 9.0) is None


@given(st.lists(st.sampled_from([b"6", b",", b";", rb"\x", rb"\xff", b"\n"]) | st.binary(max_size=4)).map(b"".join))
def test_any_bytes_are_a_record_or_none(data: bytes) -> None:
    """Programs may write to the log, too; a record is of one line, and of a level that there is."""
    record = parse_record(data, 0.0)
    assert record is None or record.level in range(8)


def test_what_was_overwritten_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gap in the sequence is so many lost records; what the kernel left out itself is another count."""
    with opened() as log:
        waiting = [b"6,10,1,-;a", b"6,11,1,-;b", b"6,15,1,-;oom_kill_process: 39 callbacks suppressed"]
        errors = [OSError(32, "Broken pipe")]

        def read(_descriptor: int, _size: int) -> bytes:
            if len(waiting) == 1 and errors:
                raise errors.pop()
            if not waiting:
                raise BlockingIOError
            return waiting.pop(0)

        monkeypatch.setattr(os, "read", read)
        assert [record.sequence for record in log.read()] == [10, 11, 15]
        assert (log.lost, log.suppressed) == (3, 39)


def test_a_message_is_read() -> None:
    """What is written to the real log arrives, with its level; what was there before does not."""
    with opened() as log:
        text = f"cgscope test {uuid.uuid4()}"
        deadline = time.monotonic() + DEADLINE_SECONDS
        found: list[LogRecord] = []
        while not found and time.monotonic() < deadline:
            with open(DEVICE, "wb", buffering=0) as device:  # again and again: the kernel drops what comes too fast
                device.write(b"<5>" + text.encode())
            time.sleep(0.1)
            found = [record for record in log.read() if record.text == text]
        assert {record.level for record in found} == {5}


def opened() -> KernelLog:
    """Open the machine's log, or skip."""
    if not os.access(DEVICE, os.R_OK | os.W_OK):
        pytest.skip(f"{DEVICE} is not ours to read and write")
    return KernelLog()
