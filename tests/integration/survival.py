"""What test_survival.py needs: containers whose files change in value and length, and hot readers of them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from cgroup_model.control import Limits, add_process, apply, create, kill, remove
from cgroup_model.mounts import Mounts, discover_mounts
from procfs_fuse.control_socket import ask
from procfs_fuse.instances import Registry
from tests.integration import survival_reader
from tests.integration.command_line import PATIENCE_SECONDS, REPOSITORY, CommandLine, eventually

MIB: Final = 1 << 20
IN_GUEST: Final = "User Mode Linux" in Path("/proc/cpuinfo").read_text()
NATIVE_ONLY: Final = pytest.mark.skipif(IN_GUEST, reason="processes end the same way in a guest, which is slow")
# Some life, so that every file changes, without taking a CPU from the readers.
LIVELY: Final = "while :; do head -c 100000 /dev/zero >/dev/null; sleep 0.02; done"


@dataclass(frozen=True, slots=True)
class Target:
    """A container; its memory limit changes between two values that no other one has."""

    name: str
    memory_mib: tuple[int, int]
    top: str = ""

    @property
    def memory_kb(self) -> list[str]:
        """What MemTotal may be."""
        return [str(mib * 1024) for mib in self.memory_mib]

    @property
    def path(self) -> str:
        """Its cgroup."""
        return f"/{self.top}/docker/{self.name}"

    def replace(self) -> None:
        """Remove it, and make another one of the same name."""
        mounts = discover_mounts()
        kill(mounts, self.path)
        remove(mounts, self.path)
        create(mounts, self.path)


@contextlib.contextmanager
def changing_containers(count: int, *, keep_changing: bool = True) -> Iterator[list[Target]]:
    """Containers with a process that does something, and limits that change all the time, or when told."""
    mounts = discover_mounts()
    top = f"/cgscope-test-survival-{os.getpid()}"
    targets = [Target(os.urandom(32).hex(), (64 + 2 * n, 65 + 2 * n), top.strip("/")) for n in range(count)]
    processes = []
    try:
        for target in targets:
            create(mounts, target.path)
            process = subprocess.Popen(["sh", "-c", f"read -r go; {LIVELY}"], stdin=subprocess.PIPE)
            processes.append(process)
            add_process(mounts, target.path, process.pid)
            _change(mounts, target, 0)
            assert process.stdin is not None
            process.stdin.write(b"go\n")
            process.stdin.flush()
        with changing(targets if keep_changing else []):
            yield targets
    finally:
        kill(mounts, top)
        for process in processes:
            process.communicate()
        remove(mounts, top)


@contextlib.contextmanager
def changing(targets: Sequence[Target]) -> Iterator[None]:
    """Change the limits of containers all the time."""
    stopped = threading.Event()
    changer = threading.Thread(target=_keep_changing, args=(targets, stopped))
    changer.start()
    try:
        yield
    finally:
        stopped.set()
        changer.join()


def _keep_changing(targets: Sequence[Target], stopped: threading.Event) -> None:
    mounts = discover_mounts()
    turn = 0
    while not stopped.wait(0.05):
        turn += 1
        for target in targets:
            _change(mounts, target, turn)


def _change(mounts: Mounts, target: Target, turn: int) -> None:
    more = turn % 2
    limits = Limits(memory_bytes=target.memory_mib[more] * MIB, cpus=1 + more, pids=99 if more else 1000)
    apply(mounts, target.path, limits)


class Served:
    """An instance of the file system, and who keeps it up."""

    def __init__(self, command: CommandLine, place: Path, *options: str) -> None:
        self.command = command
        self.place = place
        found = command("mount", *options, str(place))
        assert found.returncode == 0, found.stderr
        self.instance = Registry(command.state_dir).select(str(place))

    def keeper(self) -> dict[str, Any]:
        """What the keeper says about itself, at once."""
        return dict(ask(self.instance.control, "status", timeout_seconds=PATIENCE_SECONDS))

    def complete(self) -> dict[str, Any]:
        """The same, as soon as one worker serves and another stands by."""
        found: list[dict[str, Any]] = []

        def is_complete() -> bool:
            with contextlib.suppress(Exception):  # between two keepers nobody answers
                now = self.keeper()
                if now["served"] and not now["retiring"] and len(now["worker_pids"]) == 2:
                    found.append(now)
            return bool(found)

        assert eventually(is_complete), Path(self.instance.directory, "log").read_text()
        return found[-1]

    def kill_worker(self, number: int = signal.SIGKILL, *, after_seconds: float = 0.0) -> None:
        """Send a signal to the worker that serves, at any moment; return when another one serves."""
        before = self.complete()
        time.sleep(after_seconds)  # not to wait for anything: so that it is another moment each time
        os.kill(before["worker_pids"][0], number)
        assert eventually(lambda: self.complete()["worker_pids"][0] != before["worker_pids"][0])

    @property
    def open(self) -> Path:
        """Where the open connection shows a directory for each container."""
        return self.place / "containers"

    @property
    def cached(self) -> Path:
        """Where the cached connection does."""
        return Path(self.instance.containers)


@contextlib.contextmanager
def hot_readers(served: Served, targets: Sequence[Target], *tolerated: str) -> Iterator[list[dict[str, Any]]]:
    """Read from all containers, hot, with a process each; the reports are there afterwards. None may complain."""
    try:
        with hot_readers_of((served.open, served.cached), targets, *tolerated) as reports:
            yield reports
    except AssertionError as error:
        error.add_note(Path(served.instance.directory, "log").read_text())
        raise


@contextlib.contextmanager
def hot_readers_of(
    roots: Sequence[Path], targets: Sequence[Target], *tolerated: str, inside: int | None = None
) -> Iterator[list[dict[str, Any]]]:
    """The same, told where both connections show their containers, to whoever is ``inside`` with that process."""
    words = [sys.executable, survival_reader.__file__]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "TOLERATED": " ".join(tolerated)}
    if inside is not None:
        environment["INSIDE"] = str(inside)
        words = ["nsenter", "-t", str(inside), "-p", *words]  # which of two /proc/sys/kernel one sees depends on that
    readers = [
        subprocess.Popen(
            [*words, str(seed), *map(str, roots), target.name, *target.memory_kb],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed, target in enumerate(targets)
    ]
    reports: list[dict[str, Any]] = []
    try:
        for reader in readers:
            assert reader.stdout is not None
            assert reader.stdout.readline() == "reading\n"
        yield reports
        answers = [reader.communicate("", timeout=PATIENCE_SECONDS) for reader in readers]
        errors = [errors for _, errors in answers if errors]
        assert errors == [], "".join(errors)
        reports += [json.loads(output) for output, _ in answers]
    finally:
        for reader in readers:
            reader.kill()
            reader.communicate()


def waiting_requests(*mountpoints: Path) -> list[int]:
    """How many requests wait for the servers of these mounts; fusectl is mounted where nobody else sees it."""
    words = [sys.executable, "-c", _WAITING, *map(str, mountpoints)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    found = subprocess.run(words, env=environment, capture_output=True, timeout=PATIENCE_SECONDS, check=True).stdout
    return list(map(int, found.split()))


_WAITING: Final = """
import sys
from procfs_fuse import syscalls
from procfs_fuse.transport import mounting
connections = [mounting.mount_at(place).connection for place in sys.argv[1:]]
syscalls.unshare(syscalls.CLONE_NEWNS)
syscalls.mount("", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
syscalls.mount("fusectl", "/mnt", "fusectl")
print(*[open(f"/mnt/{number}/waiting").read().strip() for number in connections])
"""
