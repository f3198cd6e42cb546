"""The candidates: our daemon and Debian's lxcfs, each mounted in a folder of its own."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

from scripts.debian_tools import DebianTools

_MNT_DETACH = 2
_START_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Server:
    """A running file system."""

    name: str
    pid: int
    mountpoint: str
    containers: str = ""  # where our cached connection is

    def cpu_seconds(self) -> float:
        """User and system time of all its processes so far, at the clock's resolution of 10 ms."""
        return sum(map(_ticks, self._family())) / os.sysconf("SC_CLK_TCK")

    def pss_kib(self) -> int:
        """Proportional set size of all its processes."""
        return sum(map(_pss_kib, self._family()))

    def _family(self) -> list[int]:
        """The process that was started and its children: keeper, nursery and workers in our case."""
        with open(f"/proc/{self.pid}/task/{self.pid}/children", encoding="ascii") as children:
            return [self.pid, *map(int, children.read().split())]


def _ticks(pid: int) -> int:
    with open(f"/proc/{pid}/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    return int(fields[11]) + int(fields[12])


def _pss_kib(pid: int) -> int:
    with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(b"Pss:"))


@contextlib.contextmanager
def ours(folder: str) -> Iterator[Server]:
    """Start ``procfs-fuse mount --foreground``."""
    mountpoint, state = os.path.join(folder, "ours"), os.path.join(folder, "state")
    os.makedirs(mountpoint)
    command = [sys.executable, "-m", "procfs_fuse", "mount", mountpoint, "--foreground", "--state-dir", state]
    with _serving(command, mountpoint, dict(os.environ)) as pid:
        containers = _containers_below(state)
        yield Server("cgscope", pid, mountpoint, containers)


@contextlib.contextmanager
def lxcfs(folder: str) -> Iterator[Server]:
    """Start Debian's lxcfs with the options that make it comparable: load averages and CPU view by quota."""
    mountpoint = os.path.join(folder, "lxcfs")
    os.makedirs(mountpoint)
    tool = DebianTools().tool("lxcfs")
    options = ["-f", "-p", os.path.join(folder, "lxcfs.pid"), "--enable-loadavg", "--enable-cfs"]
    with _serving([tool.path, *options, mountpoint], mountpoint, dict(tool.env)) as pid:
        yield Server("lxcfs", pid, mountpoint)


@contextlib.contextmanager
def _serving(command: list[str], mountpoint: str, environment: dict[str, str]) -> Iterator[int]:
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not os.path.exists(os.path.join(mountpoint, "proc", "meminfo")):
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                raise SystemExit(f"{command[0]} did not start: {process.communicate()[1].decode(errors='replace')}")
            time.sleep(0.02)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
        ctypes.CDLL(None).umount2(mountpoint.encode(), _MNT_DETACH)


def _containers_below(state: str) -> str:
    """The cached connection's mount point, wherever the instance keeps it."""
    with open("/proc/self/mounts", encoding="utf-8") as mounts:
        return next(fields[1] for line in mounts if (fields := line.split())[1].startswith(state + "/"))
