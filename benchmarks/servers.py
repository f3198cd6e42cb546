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
from pathlib import Path

from benchmarks.peers import tools
from scripts.debian_tools import DebianTools

_MNT_DETACH = 2
_START_SECONDS = 30.0
_STOP_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Server:
    """A running program, with its children."""

    name: str
    pid: int
    mountpoint: str = ""
    containers: str = ""  # where our cached connection is
    started_seconds: float = 0.0  # from exec to the first file
    state: str = ""  # where our instance keeps what it knows

    def cpu_seconds(self) -> float:
        """User and system time of all its processes so far, at the clock's resolution of 10 ms."""
        return sum(map(_ticks, self.family())) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> dict[str, float]:
        """PSS and RSS of all its processes, and how many descriptors they have open."""
        family = self.family()
        return {
            "pss_mib": sum(_rollup(pid, b"Pss:") for pid in family) / 1024,
            "rss_mib": sum(_rollup(pid, b"Rss:") for pid in family) / 1024,
            "descriptors_count": float(sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in family)),
        }

    def family(self) -> list[int]:
        """The process that was started and all below it: keeper, nursery and workers in our case."""
        found = [self.pid]
        for pid in found:
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as children:
                    found += map(int, children.read().split())
        return found


def _ticks(pid: int) -> int:
    with open(f"/proc/{pid}/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    return int(fields[11]) + int(fields[12])


def _rollup(pid: int, field: bytes) -> int:
    with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(field))


@contextlib.contextmanager
def ours(folder: str, *, name: str = "ours", transport: str = "kernel", code: str | None = None) -> Iterator[Server]:
    """Start ``procfs-fuse mount --foreground``; of another revision, whose files are in the folder ``code``.

    One that was killed is followed by the next one with its name.
    """
    mountpoint, state = os.path.join(folder, name), os.path.join(folder, f"{name}-state")
    if not os.path.lexists(state):
        os.makedirs(mountpoint)
    words = ["mount", mountpoint, "--foreground", "--no-config", "--state-dir", state, "--transport", transport]
    environment = dict(os.environ)
    if code is not None:
        environment["PYTHONPATH"] = code
    if transport != "kernel":
        environment |= _libfuse()
    command = [sys.executable, "-m", "procfs_fuse", *words]
    with serving(command, f"{mountpoint}/proc/meminfo", environment, mountpoint=mountpoint, code=code) as (
        pid,
        seconds,
    ):
        containers = _containers_below(state) if transport == "kernel" else ""
        yield Server(name, pid, mountpoint, containers, seconds, state)


@contextlib.contextmanager
def lxcfs(folder: str, *, name: str = "lxcfs") -> Iterator[Server]:
    """Start Debian's lxcfs with the options that make it comparable: load averages and CPU view by quota."""
    mountpoint = os.path.join(folder, name)
    os.makedirs(mountpoint)
    tool = tools().tool("lxcfs")
    options = ["-f", "-p", os.path.join(folder, f"{name}.pid"), "--enable-loadavg", "--enable-cfs"]
    command = [tool.path, *options, mountpoint]
    with serving(command, f"{mountpoint}/proc/meminfo", dict(tool.env), mountpoint=mountpoint) as (pid, seconds):
        yield Server(name, pid, mountpoint, started_seconds=seconds)


@contextlib.contextmanager
def serving(
    command: list[str], sign: str, environment: dict[str, str], *, mountpoint: str, code: str | None = None
) -> Iterator[tuple[int, float]]:
    """Start a file system; yields its pid, and the seconds from exec until the file ``sign`` was there."""
    began = time.monotonic()
    log = Path(f"{mountpoint}.log")  # not a pipe: a server that logs a line for each of a thousand containers fills it
    with log.open("wb") as errors:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=errors, cwd=code)
    try:
        while not os.path.exists(sign):
            if process.poll() is not None or time.monotonic() > began + _START_SECONDS:
                process.kill()
                process.wait()
                raise SystemExit(f"{command[0]} did not start: {log.read_text('utf-8', 'replace')[-2000:]}")
            time.sleep(0.002)
        yield process.pid, time.monotonic() - began
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        ctypes.CDLL(None).umount2(mountpoint.encode(), _MNT_DETACH)


def _libfuse() -> dict[str, str]:
    """Where fusepy finds libfuse 2, which few machines have installed."""
    tree = Path(DebianTools().tool("afuse").path).parents[2]
    found = sorted(tree.glob("usr/lib/*/libfuse.so.2"))
    return {"FUSE_LIBRARY_PATH": str(found[0])} if found else {}


def _containers_below(state: str) -> str:
    """The cached connection's mount point, wherever the instance keeps it."""
    with open("/proc/self/mounts", encoding="utf-8") as mounts:
        return next(fields[1] for line in mounts if (fields := line.split())[1].startswith(state + "/"))
