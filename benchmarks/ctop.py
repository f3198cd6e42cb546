"""Measure ctop beside systemd-cgtop and PyPI's ctop on this machine with 1,000 cgroups more, at one look per second.

Each runs in a terminal of its own (120x50). CPU time is the kernel's account of the process and its children, taken
after a warm-up; bytes are what went to the terminal; the first frame counts from exec to the first line of the list.
All candidates take their turn in every round, in changing order. Needs root. Exit code 0: every bar holds.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import pty
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

from cgroup_model.control import add_process, create, kill, remove
from cgroup_model.mounts import discover_mounts
from scripts.bytecode import compile_packages

TOP: Final = "/cgscope-bench-ctop"
PODS: Final = 250  # of three containers each: with the pods, a thousand cgroups
BUSY: Final = 25  # containers in which a process wakes up ten times a second
WARM_UP_SECONDS: Final = 5.0
ROUNDS: Final = 5
SECONDS: Final = 15.0
WIDTH, HEIGHT = 120, 50
TICKS: Final = os.sysconf("SC_CLK_TCK")

CPU_SHARE, RSS_MIB, FIRST_SECONDS = 0.5, 48.0, 0.4
"""The bars: CPU of systemd-cgtop's, resident memory, first frame."""


@dataclass(slots=True)
class Candidate:
    """One program and what was measured of it, a figure per round."""

    name: str
    command: Sequence[str]
    sign: bytes  # of the first frame
    cpu_ms: list[float] = field(default_factory=list)  # per second, which is one look
    rss_mib: list[float] = field(default_factory=list)
    first_seconds: list[float] = field(default_factory=list)
    frame_bytes: list[float] = field(default_factory=list)

    def figures(self) -> dict[str, float]:
        """Medians; CPU with its extremes."""
        return {
            "cpu_ms_per_look": round(median(self.cpu_ms), 1),
            "cpu_ms_least": round(min(self.cpu_ms), 1),
            "cpu_ms_most": round(max(self.cpu_ms), 1),
            "rss_mib": round(median(self.rss_mib), 1),
            "first_frame_seconds": round(median(self.first_seconds), 2),
            "bytes_per_look": round(median(self.frame_bytes)),
        }


class Running:
    """A program on a terminal of its own."""

    def __init__(self, command: Sequence[str]) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
        environment = {**os.environ, "TERM": "xterm-256color", "XDG_CONFIG_HOME": "/nonexistent"}
        self._started = time.monotonic()
        self._process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
        )
        os.close(slave)

    def read(self, seconds: float, sign: bytes | None = None) -> tuple[int, float | None]:
        """Take what is written for some seconds: its length, and when a sign was seen, counted from the start."""
        end = time.monotonic() + seconds
        length, tail, seen = 0, b"", None
        while (left := end - time.monotonic()) > 0:
            if not select.select([self._master], [], [], left)[0]:
                continue
            try:
                data = os.read(self._master, 1 << 16)
            except OSError as error:  # nobody has the terminal any more
                raise RuntimeError(f"it ended: {tail[-500:].decode(errors='replace')}") from error
            length += len(data)
            tail = (tail + data)[-(1 << 16) :]
            if sign is not None and seen is None and sign in tail:
                seen = time.monotonic() - self._started
        return length, seen

    def cpu_seconds(self) -> float:
        """CPU time so far, children included."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / TICKS

    def rss_mib(self) -> float:
        """Resident memory."""
        status = Path(f"/proc/{self._process.pid}/status").read_text("ascii", "replace")
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        self._process.kill()
        self._process.wait()
        os.close(self._master)


def measure(candidate: Candidate, seconds: float) -> None:
    """Run one candidate once."""
    running = Running(candidate.command)
    try:
        _length, first = running.read(WARM_UP_SECONDS, candidate.sign)
        while first is None:  # a very busy machine
            _length, first = running.read(WARM_UP_SECONDS, candidate.sign)
        before, started = running.cpu_seconds(), time.monotonic()
        length, _seen = running.read(seconds)
        passed = time.monotonic() - started
        candidate.cpu_ms.append((running.cpu_seconds() - before) / passed * 1000)
        candidate.rss_mib.append(running.rss_mib())
        candidate.first_seconds.append(first)
        candidate.frame_bytes.append(length / passed)
    finally:
        running.close()


@contextlib.contextmanager
def cgroups() -> Iterator[None]:
    """Make a thousand cgroups named as Kubernetes does, some with a process that wakes up and sleeps."""
    mounts = discover_mounts()
    sleepers = []
    try:
        for pod in range(PODS):
            for container in range(3):
                ident = hashlib.sha256(f"{pod}/{container}".encode()).hexdigest()
                path = f"{TOP}/kubepods/burstable/pod{ident[:8]}-0000-4000-8000-{pod:012}/{ident}"
                create(mounts, path)
                if container == 0 and pod < BUSY:
                    sleepers.append(subprocess.Popen(["sh", "-c", "while :; do sleep 0.1; done"]))
                    add_process(mounts, path, sleepers[-1].pid)
        yield
    finally:
        for sleeper in sleepers:
            sleeper.kill()
            sleeper.wait()
        kill(mounts, TOP, 60.0)  # the last sleep of each
        remove(mounts, TOP)


@contextlib.contextmanager
def peer() -> Iterator[str | None]:
    """PyPI's ctop in an environment of its own; None where it cannot be had."""
    with tempfile.TemporaryDirectory(prefix="cgscope-bench-") as folder:
        done = subprocess.run([sys.executable, "-m", "venv", folder], capture_output=True, check=False)
        pip = [f"{folder}/bin/pip", "--quiet", "--disable-pip-version-check", "install", "ctop"]
        done = subprocess.run(pip, capture_output=True, check=False) if done.returncode == 0 else done
        yield f"{folder}/bin/ctop" if done.returncode == 0 else None


def candidates(pypi: str | None) -> list[Candidate]:
    """Everything that is installed."""
    found = [Candidate("ctop", [sys.executable, "-m", "ctop", "--all", "-d", "1"], b"NAME")]
    if cgtop := shutil.which("systemd-cgtop"):
        found.append(Candidate("systemd-cgtop", [cgtop, "-d", "1", "--depth=10"], b"Tasks"))
    if pypi is not None:
        found.append(Candidate("PyPI ctop", [pypi, "--refresh", "1"], b"OWNER"))
    return found


def verdicts(found: Sequence[Candidate]) -> dict[str, tuple[float, float]]:
    """Each bar: what was measured, and the most that it may be."""
    ours, theirs = found[0], {one.name: one for one in found}
    bars = {
        "resident memory, MiB": (median(ours.rss_mib), RSS_MIB),
        "first frame, seconds": (median(ours.first_seconds), FIRST_SECONDS),
    }
    if cgtop := theirs.get("systemd-cgtop"):
        pairs = zip(ours.cpu_ms, cgtop.cpu_ms, strict=False)
        bars["CPU per look, of systemd-cgtop's"] = (median(us / them for us, them in pairs), CPU_SHARE)
    return bars


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ctop", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help=f"default {ROUNDS}")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"of each measurement; default {SECONDS:g}")
    parser.add_argument("--json", metavar="FILE", help="write the figures there")
    options = parser.parse_args()
    compile_packages()
    with cgroups(), peer() as pypi:
        found = candidates(pypi)
        for number in range(options.rounds):
            for one in found if number % 2 == 0 else reversed(found):
                try:
                    measure(one, options.seconds)
                except RuntimeError as error:  # a peer does not survive cgroups that are removed meanwhile
                    print(f"{one.name}: {error!r:.300}", file=sys.stderr)
                    if one is found[0]:
                        raise
    print(f"{'candidate':<14} {'CPU ms/look':>11} {'of rounds':>14} {'RSS MiB':>8} {'first s':>8} {'bytes/look':>10}")
    for one in found:
        if not one.cpu_ms:
            continue
        row = one.figures()
        spread = f"{row['cpu_ms_least']:g} to {row['cpu_ms_most']:g}"
        print(
            f"{one.name:<14} {row['cpu_ms_per_look']:>11} {spread:>14} {row['rss_mib']:>8}"
            f" {row['first_frame_seconds']:>8} {row['bytes_per_look']:>10.0f}"
        )
    bars = verdicts(found)
    for name, (measured, most) in bars.items():
        print(f"{'holds' if measured <= most else 'FAILS'}  {name}: {measured:.2f} (at most {most:g})")
    if options.json:
        figures = {
            "load": os.getloadavg()[0],
            "bars": bars,
            "candidates": {one.name: one.figures() for one in found if one.cpu_ms},
        }
        Path(options.json).write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
    return 0 if all(measured <= most for measured, most in bars.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
