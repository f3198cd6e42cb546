"""The same accidents with Debian's lxcfs and with ours: the facts behind the table in docs/survival.md."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from procfs_fuse.transport import mounting
from scripts.debian_tools import Tool
from tests.integration.command_line import NEEDS, PATIENCE_SECONDS, REASON, CommandLine, eventually
from tests.integration.survival import NATIVE_ONLY, Served, waiting_requests

pytestmark = [pytest.mark.skipif(not NEEDS, reason=REASON), NATIVE_ONLY]

CONTAINER = """
import os, sys
from procfs_fuse import syscalls
syscalls.unshare(syscalls.CLONE_NEWNS)
syscalls.mount("", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
syscalls.mount(sys.argv[1] + "/proc/uptime", "/proc/uptime", flags=syscalls.MS_BIND)
syscalls.umount(sys.argv[1], syscalls.MNT_DETACH)
print("bound", flush=True)
for _ in sys.stdin:
    try: print(open("/proc/uptime").read().strip(), flush=True)
    except OSError as error: print(error.errno, flush=True)
"""
UPTIME = re.compile(r"\d+\.\d\d \d+\.\d\d")
GONE = str(errno.ENOTCONN)


class Container:
    """A process with a file bound over its /proc/uptime, as engines do it."""

    def __init__(self, mountpoint: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", CONTAINER, str(mountpoint)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.end() == "bound"

    def begin(self) -> None:
        """Have it read its file."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def end(self) -> str:
        """What it read, or the number of the error."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def read(self) -> str:
        """Both."""
        self.begin()
        return self.end()

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate(timeout=PATIENCE_SECONDS)


class Lxcfs:
    """A running lxcfs."""

    def __init__(self, tool: Tool, folder: Path) -> None:
        self._tool, self.mountpoint = tool, folder / "lxcfs"
        self._folder = folder
        self.mountpoint.mkdir()
        self.start()

    def start(self) -> None:
        """Start it at its place."""
        words = [self._tool.path, "-f", "-p", str(self._folder / "lxcfs.pid"), str(self.mountpoint)]
        self.process = subprocess.Popen(words, env=dict(self._tool.env), stderr=subprocess.DEVNULL)
        assert eventually((self.mountpoint / "proc/uptime").exists)

    def stop(self, number: int) -> None:
        """End it, and clear its mount away."""
        self.process.send_signal(number)
        self.process.wait(PATIENCE_SECONDS)
        while mounting.mount_at(str(self.mountpoint)):
            mounting.unmount(str(self.mountpoint), detach=True)


@pytest.fixture
def lxcfs(tool: Callable[[str], Tool], tmp_path: Path) -> Iterator[Lxcfs]:
    """Debian's lxcfs."""
    lxcfs = Lxcfs(tool("lxcfs"), tmp_path)
    yield lxcfs
    with contextlib.suppress(ProcessLookupError):
        lxcfs.process.send_signal(signal.SIGCONT)
    lxcfs.stop(signal.SIGKILL)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """Ours."""
    command = CommandLine(tmp_path / "state")
    (tmp_path / "ours").mkdir()
    yield Served(command, tmp_path / "ours", "--request-timeout", "500ms")
    command.close()


@contextlib.contextmanager
def container(mountpoint: Path) -> Iterator[Container]:
    """A container, ended afterwards."""
    one = Container(mountpoint)
    try:
        assert UPTIME.fullmatch(one.read())
        yield one
    finally:
        one.close()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "restarted"])
def test_containers_of_lxcfs_lose_their_files_for_good(lxcfs: Lxcfs, number: signal.Signals) -> None:
    """When lxcfs ends, also to be started again, reads in containers fail, and the new one does not change that."""
    with container(lxcfs.mountpoint) as one:
        lxcfs.stop(number)
        assert one.read() == GONE
        lxcfs.start()
        assert UPTIME.search((lxcfs.mountpoint / "proc/uptime").read_text())
        assert one.read() == GONE


def test_readers_of_a_hung_lxcfs_hang(lxcfs: Lxcfs) -> None:
    """When lxcfs stands still, so does every reader, until it goes on."""
    with container(lxcfs.mountpoint) as one:
        lxcfs.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, lxcfs.process.pid, os.WSTOPPED)  # with all its threads
        one.begin()
        assert eventually(lambda: waiting_requests(lxcfs.mountpoint) != [0])
        lxcfs.process.send_signal(signal.SIGCONT)
        assert UPTIME.fullmatch(one.end())


def test_ours_in_the_same_accidents(served: Served) -> None:
    """Killed, hung, restarted: the container goes on reading; everything killed: the next start heals it."""
    with container(served.place) as one:
        served.kill_worker()
        assert UPTIME.fullmatch(one.read())
        os.kill(served.complete()["worker_pids"][0], signal.SIGSTOP)
        assert UPTIME.fullmatch(one.read())
        assert served.command("restart").returncode == 0
        assert UPTIME.fullmatch(one.read())
        served.command.kill_all(served.complete())
        assert eventually(lambda: one.read() == GONE)
        assert served.command("mount", str(served.place)).returncode == 0
        assert eventually(lambda: UPTIME.fullmatch(one.read()))
