"""ctop beside systemd-cgtop, PyPI's ctop and htop, at one look a second.

Each runs on a terminal of its own (120x50). CPU time is the kernel's account of the process and its children, taken
after a warm-up; bytes are what went to the terminal; the first frame counts from exec to the first line of the list.
"""

from __future__ import annotations

import contextlib
import hashlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from benchmarks.floors import collected
from benchmarks.kit import Kit, at_sizes, in_turn
from benchmarks.peers import tools
from benchmarks.results import FLOOR
from benchmarks.screen import HEIGHT, Screen
from benchmarks.touched import files_of_list
from cgroup_model.control import add_process, create, kill, remove
from cgroup_model.mounts import discover_mounts
from scripts.debian_tools import FetchError, Unavailable

CASE: Final = "list, a look a second"
TOP: Final = "/cgscope-bench-ctop"
CGROUPS: Final = (100, 1000, 5000)
JUDGED: Final = 1000
"""The size of which the bars tell: it has all rounds."""
ROUNDS: Final = 3
BUSY: Final = 25  # containers in which a process wakes up ten times a second
WARM_UP_SECONDS: Final = 4.0
SECONDS: Final = 6.0
PATIENCE_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """One program, and what its first frame is known by."""

    name: str
    command: Sequence[str]
    sign: bytes
    environment: Mapping[str, str] | None = None
    code: str | None = None  # of another revision: the folder with its files


def measure(kit: Kit) -> None:
    """Measure all of it."""
    with contextlib.ExitStack() as stack:
        candidates = [ours("ctop"), *_debians(kit), *(() if kit.quick else stack.enter_context(_pypi(kit)))]
        crowd = stack.enter_context(pods())
        for number in at_sizes(kit, "lists", (JUDGED,) if kit.quick else CGROUPS):
            crowd.grow_to(number)
            for one in in_turn(candidates, kit.some(ROUNDS) if number == JUDGED else 1):
                add(kit, one, number)
            kit.results.add(CASE, FLOOR, _floor(kit), size=number, of="cgroups")


def ours(name: str, code: str | None = None) -> Candidate:
    """Our list, of another revision if its folder is given."""
    return Candidate(name, [sys.executable, "-m", "ctop", "--all", "-d", "1"], b"NAME", code=code)


def add(kit: Kit, candidate: Candidate, number: int) -> None:
    """Run one candidate once. A peer does not survive cgroups that are removed meanwhile."""
    try:
        figures = _watched(candidate, kit.folder)
    except OSError as error:
        kit.results.missing.append(f"{candidate.name} at {number:,} cgroups: {error!s:.300}")
    else:
        kit.results.add(CASE, candidate.name, figures, size=number, of="cgroups")


def _watched(candidate: Candidate, folder: str) -> dict[str, float]:
    screen = Screen(candidate.command, folder, candidate.environment, candidate.code)
    try:
        first, deadline = None, time.monotonic() + PATIENCE_SECONDS
        while first is None and time.monotonic() < deadline:
            _length, first = screen.read(1.0, candidate.sign)
        if first is None:
            raise TimeoutError("no first frame")
        screen.read(WARM_UP_SECONDS)
        before, started = screen.cpu_seconds(), time.monotonic()
        length, _seen = screen.read(SECONDS)
        passed = time.monotonic() - started
        return {
            "cpu_msec": (screen.cpu_seconds() - before) / passed * 1000,
            "rss_mib": screen.rss_mib(),
            "first_seconds": first,
            "frame_bytes": length / passed,
        }
    finally:
        screen.close()


def _floor(kit: Kit) -> dict[str, float]:
    """CPU time of reading what a look reads, in C."""
    return {"cpu_msec": collected(kit, files_of_list(HEIGHT))["cpu_msec"]}


def _debians(kit: Kit) -> Iterator[Candidate]:
    for name, words, sign in (
        ("systemd-cgtop", ("-d", "1", "--depth=10"), b"Tasks"),
        ("htop", ("-d", "10"), b"PID"),  # tenths of seconds
    ):
        try:
            tool = tools().tool(name)
        except (FetchError, Unavailable) as error:
            kit.results.missing.append(f"{name}: {error}")
        else:
            yield Candidate(name, [tool.path, *words], sign, tool.env)


@contextlib.contextmanager
def _pypi(kit: Kit) -> Iterator[list[Candidate]]:
    """PyPI's ctop in an environment of its own, as its script has our script's name; none where it cannot be had."""
    with tempfile.TemporaryDirectory(prefix="cgscope-bench-") as folder:
        pip = [f"{folder}/bin/pip", "--quiet", "--disable-pip-version-check", "install", "ctop==1.0.0"]
        try:
            for command in ([sys.executable, "-m", "venv", folder], pip):
                subprocess.run(command, capture_output=True, check=True)
        except subprocess.CalledProcessError as error:
            kit.results.missing.append(f"PyPI ctop: {error}")
            yield []
        else:
            yield [Candidate("PyPI ctop", [f"{folder}/bin/ctop", "--refresh", "1"], b"OWNER")]


@dataclass(slots=True)
class Pods:
    """Cgroups named as Kubernetes does: pods of three containers, each with a process; some wake up and sleep."""

    containers: int = 0
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def grow_to(self, cgroups: int) -> None:
        """Make more, until there are so many cgroups, those of the pods included."""
        mounts = discover_mounts()
        for one in range(self.containers, cgroups * 3 // 4):
            pod, ident = one // 3, hashlib.sha256(str(one).encode()).hexdigest()
            uid = hashlib.sha256(str(pod).encode()).hexdigest()[:8]
            path = f"{TOP}/kubepods/burstable/pod{uid}-0000-4000-8000-{pod:012}/{ident}"
            create(mounts, path)
            command = ["sh", "-c", "while :; do sleep 0.1; done"] if one < BUSY else ["sleep", "1000000"]
            self.processes.append(subprocess.Popen(command))
            add_process(mounts, path, self.processes[-1].pid)
        self.containers = max(self.containers, cgroups * 3 // 4)

    def close(self) -> None:
        """Remove all."""
        mounts = discover_mounts()
        for process in self.processes:
            process.kill()
            process.wait()
        if self.processes:
            kill(mounts, TOP, 60.0)  # the last sleep of each
            remove(mounts, TOP, 60.0)


def pods() -> contextlib.closing[Pods]:
    """Begin with none."""
    return contextlib.closing(Pods())
