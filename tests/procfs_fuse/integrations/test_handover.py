"""The end of a holder, with toys for the program and for what unmounts."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from procfs_fuse import descriptors
from procfs_fuse.control_socket import connect_to
from tests.integration.command_line import PATIENCE_SECONDS, eventually

HOLDER = """
import sys
from procfs_fuse.integrations import handover
handover._END_SECONDS = float(sys.argv[1])
program, unmount = ([sys.executable, "-c", sys.argv[place], sys.argv[2]] for place in (3, 4))
handover.Holder(program, unmount, sys.argv[2] + "/socket", lambda: open(sys.argv[2] + "/leave", "w").close()).run()
"""
COMMON = """
import os, signal, socket, sys, time
from pathlib import Path
place = Path(sys.argv[1])
def note(word):
    with open(place / "notes", "a") as file:
        file.write(word + "\\n")
def wait_for(name):
    while not (place / name).exists():
        time.sleep(0.01)
"""
PROGRAM = (
    COMMON
    + """
def told(*_):
    note("told")
    sys.exit()
signal.signal(signal.SIGTERM, told)
note("started")
(place / "started").touch()
if "Slow" in os.environ:
    wait_for("go")
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notify.sendto(b"READY=1", "\\0" + os.environ["NOTIFY_SOCKET"][1:])
while not (place / "leave").exists() and not (place / "end").exists():
    time.sleep(0.01)
(place / "leave").unlink(missing_ok=True)
note("ended")
"""
)
UNMOUNT = COMMON + "note('unmounting'); (place / 'unmounting').touch();"


class Held:
    """A holder of the toy."""

    def __init__(self, place: Path, unmount: str, *, end_seconds: float = PATIENCE_SECONDS, slow: bool = False) -> None:
        self.place = place
        words = [sys.executable, "-c", HOLDER, str(end_seconds), str(place), PROGRAM, UNMOUNT + unmount]
        self.process = subprocess.Popen(words, env={**os.environ, **({"Slow": "1"} if slow else {})})
        self.await_file("started" if slow else "socket")

    def await_file(self, name: str) -> None:
        """Wait until a file is there."""
        assert eventually((self.place / name).exists), name

    @property
    def notes(self) -> list[str]:
        """What the toys did."""
        return (self.place / "notes").read_text().split()

    def stop(self) -> None:
        """Tell it to stop."""
        self.process.send_signal(signal.SIGTERM)

    def ended(self) -> list[str]:
        """Wait for its end; what the toys did until then."""
        assert self.process.wait(PATIENCE_SECONDS) == 0
        return self.notes


@contextlib.contextmanager
def held(place: Path, unmount: str, *, end_seconds: float = PATIENCE_SECONDS, slow: bool = False) -> Iterator[Held]:
    """Give a holder, which is ended afterwards, and the toy with it."""
    holder = Held(place, unmount, end_seconds=end_seconds, slow=slow)
    try:
        yield holder
    finally:
        for name in ("end", "go"):
            (place / name).touch()
        holder.process.kill()
        holder.process.wait()


@contextlib.contextmanager
def asking(holder: Held) -> Iterator[socket.socket]:
    """Another holder, which has got the descriptors and does not serve yet."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as taker:
        taker.settimeout(PATIENCE_SECONDS)
        connect_to(taker, str(holder.place / "socket"))
        assert descriptors.receive(taker, 1 << 16, 16)[0] == b"[]"
        yield taker


def test_unmounting_ends_the_program(tmp_path: Path) -> None:
    """What unmounts has the program end, which needs not be told, and may itself take longer than that."""
    with held(tmp_path, "(place / 'end').touch(); wait_for('go'); note('unmounted')") as holder:
        holder.stop()
        holder.await_file("unmounting")
        holder.stop()  # told twice, it does the same
        (tmp_path / "go").touch()
        assert sorted(holder.ended()) == ["ended", "started", "unmounted", "unmounting"]


def test_unmounting_fails(tmp_path: Path) -> None:
    """Then the program is told."""
    with held(tmp_path, "sys.exit(1)") as holder:
        holder.stop()
        assert holder.ended() == ["started", "unmounting", "told"]


def test_unmounting_hangs(tmp_path: Path) -> None:
    """Then it is given up in time, and the program is told."""
    with held(tmp_path, "wait_for('never')", end_seconds=1) as holder:
        holder.stop()
        assert holder.ended()[-1] == "told"


def test_before_it_serves(tmp_path: Path) -> None:
    """A program that starts is waited for: it may have mounted already."""
    with held(tmp_path, "(place / 'end').touch()", slow=True) as holder:
        holder.stop()
        (tmp_path / "go").touch()
        assert holder.ended() == ["started", "unmounting", "ended"]


def test_it_never_serves(tmp_path: Path) -> None:
    """A program that hangs when it starts is told in the end."""
    with held(tmp_path, "", end_seconds=0, slow=True) as holder:
        holder.stop()
        assert holder.ended() == ["started", "told"]


@pytest.mark.parametrize("is_stopped_before", [True, False])
def test_relieved(tmp_path: Path, *, is_stopped_before: bool) -> None:
    """The mounts are another's now: nothing is unmounted, whether it was told to stop before or after that."""
    with held(tmp_path, "") as holder, asking(holder) as taker:
        if is_stopped_before:
            holder.stop()
        taker.sendall(b"served\n")
        assert taker.recv(1) == b""
        if not is_stopped_before:
            holder.stop()
        assert holder.ended() == ["started", "ended"]


def test_the_next_one_fails_while_it_is_stopped(tmp_path: Path) -> None:
    """Both are told to end amid a handover: the old one has the mounts again, and unmounts."""
    with held(tmp_path, "(place / 'end').touch()") as holder:
        with asking(holder):
            holder.stop()
        assert holder.ended() == ["started", "ended", "started", "unmounting", "ended"]


def test_stopped_before_it_serves_what_it_took_over(tmp_path: Path) -> None:
    """Its program is ended and nothing is unmounted: the mounts are the old holder's again, who goes on."""
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    new.mkdir()
    (new / "socket").symlink_to(old / "socket")
    with held(old, "(place / 'end').touch()") as first, held(new, "", slow=True) as second:
        second.stop()
        assert second.ended() == ["started"]
        assert eventually(lambda: first.notes.count("started") == 2)
        first.stop()
        assert first.ended() == ["started", "ended", "started", "unmounting", "ended"]
