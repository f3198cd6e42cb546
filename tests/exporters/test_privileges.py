"""What a serving exporter may do: what reading takes, in every thread, and it says what it lacks."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cgscope.capabilities import NUMBERS, held

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to give up")

READING = {"CAP_DAC_READ_SEARCH", "CAP_SYS_NICE", "CAP_SYS_PTRACE", "CAP_SYSLOG"}
GIVE_UP = "from exporters.privileges import give_up; said = give_up([{port}]); "
STATUS = "print(open('/proc/self/status').read())"


def bits(status: str, field: str) -> int:
    """The capabilities in one of a status' lines."""
    return next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith(field))


def mask(names: set[str]) -> int:
    """The same for names."""
    return sum(1 << NUMBERS[name] for name in names)


@contextmanager
def serving(*arguments: str) -> Iterator[tuple[int, str]]:
    """Run an exporter; its pid and what it logs until it serves, read line by line: no time is waited for."""
    words = [sys.executable, "-m", "exporters", "--listen", "127.0.0.1:0", "--oom-state", "none", *arguments]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        lines = []
        for line in process.stderr:
            lines.append(line)
            if "serving" in line:
                break
        try:
            yield process.pid, "".join(lines)
        finally:
            process.terminate()


def test_a_server_keeps_what_reading_takes() -> None:
    """No thread of it holds another right, nor can get one by executing a program."""
    with serving() as (pid, said):
        assert "serving" in said
        threads = [file.read_text() for file in Path(f"/proc/{pid}/task").glob("*/status")]
    before = mask(READING) & bits(Path("/proc/self/status").read_text(), "CapEff")
    assert len(threads) > 1
    for status in threads:
        assert [bits(status, field) for field in ("CapEff", "CapPrm")] == [before, before]
        assert bits(status, "CapBnd") | mask(READING) == mask(READING)
        assert "NoNewPrivs:\t1\n" in status


@pytest.mark.parametrize(("port", "more"), [(9753, set()), (443, {"CAP_NET_BIND_SERVICE"})])
def test_a_low_port_takes_one_more(port: int, more: set[str]) -> None:
    """The right to listen there is kept only when it is needed."""
    words = [sys.executable, "-c", GIVE_UP.format(port=port) + STATUS]
    status = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert held(status) == (READING | more) & held(Path("/proc/self/status").read_text())


def test_what_is_missing_is_said() -> None:
    """Somebody who may read but not look into processes hears what that costs."""
    front = "from cgscope.capabilities import keep_only; keep_only(['CAP_DAC_READ_SEARCH']); "
    words = [sys.executable, "-c", front + GIVE_UP.format(port=9753) + "print(said)"]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert ["without CAP_DAC_READ_SEARCH" in said, "without CAP_SYS_PTRACE: " in said] == [False, True]
