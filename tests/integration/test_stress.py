"""Many readers of changing files, over both connections, while containers come and go."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cgroup_model.control import Limits, add_process, apply, create, kill, remove
from cgroup_model.mounts import Mounts, discover_mounts
from tests.integration import reader
from tests.integration.containers import MIB, Instance, mounted

READERS = 8
NATIVE_READS = 100_000
GUEST_READS = 10_000
"""In User Mode Linux, where a system call takes seven times as long."""

GROWTH_KIB = 4096
"""The serving process may grow by this after the warm-up: by what is remembered of some hundred containers."""

DEADLINE_SECONDS = 60  # for what must happen some time; upkeep is every 10 s

TOP = f"/cgscope-test-stress-{os.getpid()}"
STAYING = (os.urandom(32).hex(), os.urandom(32).hex())  # an id that occurs once is the container's key
# Some life, so that every file changes, without taking a CPU from the readers.
LIVELY = "while :; do head -c 100000 /dev/zero >/dev/null; sleep 0.02; done"


def reads() -> int:
    """How often to read in all."""
    guest = "User Mode Linux" in Path("/proc/cpuinfo").read_text()
    return GUEST_READS if guest else NATIVE_READS


@pytest.fixture(scope="module")
def mounts() -> Mounts:
    """The machine's hierarchies."""
    if os.geteuid() != 0:
        pytest.skip("containers take root")
    return discover_mounts()


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory, containers: tuple[str, ...]) -> Iterator[Instance]:
    """A private instance of the file system."""
    assert containers
    with mounted(tmp_path_factory.mktemp("instance")) as instance:
        yield instance


@pytest.fixture(scope="module")
def containers(mounts: Mounts) -> Iterator[tuple[str, ...]]:
    """Two containers that stay, with processes that do something."""
    processes = []
    try:
        for name in STAYING:
            create(mounts, f"{TOP}/docker/{name}")
            process = subprocess.Popen(["sh", "-c", f"read -r go; {LIVELY}"], stdin=subprocess.PIPE)
            processes.append(process)
            add_process(mounts, f"{TOP}/docker/{name}", process.pid)
            assert process.stdin is not None
            process.stdin.write(b"go\n")
            process.stdin.flush()
        yield STAYING
    finally:
        kill(mounts, TOP)
        for process in processes:
            process.communicate()
        remove(mounts, TOP)


class Churn(threading.Thread):
    """Makes and removes containers and changes limits until stopped; looks whether `ls` shows it at once."""

    def __init__(self, mounts: Mounts, instance: Instance) -> None:
        super().__init__(name="churn")
        self._mounts = mounts
        self._directories = (instance.open, instance.cached)
        self._stopped = threading.Event()
        self.rounds = 0
        self.problems: list[str] = []

    def run(self) -> None:
        """Go round until stopped, or until something is wrong."""
        try:
            while not self._stopped.is_set():
                self._round()
                self.rounds += 1
        except Exception as error:  # noqa: BLE001 - told by the main thread
            self.problems.append(f"{type(error).__name__}: {error}")

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()
        self.join()

    def _round(self) -> None:
        names = [os.urandom(32).hex() for _ in range(2)]
        for name in names:
            create(self._mounts, f"{TOP}/docker/{name}")
            apply(self._mounts, f"{TOP}/docker/{name}", Limits(memory_bytes=(16 + self.rounds % 16) * MIB))
            self._expect(name, there=True)
        more = self.rounds % 2 == 0
        for name in STAYING:
            limits = Limits(memory_bytes=(300 if more else 200) * MIB, cpus=2 if more else 1, pids=90 if more else 1000)
            apply(self._mounts, f"{TOP}/docker/{name}", limits)
        self._stopped.wait(0.01)
        for name in names:
            remove(self._mounts, f"{TOP}/docker/{name}")
            self._expect(name, there=False)

    def _expect(self, name: str, *, there: bool) -> None:
        for directory in self._directories:
            if (name in os.listdir(directory)) != there:
                self.problems.append(f"{name} {'not ' if there else 'still '}in {directory} in round {self.rounds}")


def read_with_all(instance: Instance, count: int) -> int:
    """Run the readers at the same time; return how often they read. None may complain."""
    directories = [str(instance.open), str(instance.cached)]
    words = [sys.executable, reader.__file__]
    readers = [
        subprocess.Popen(
            [*words, str(seed), str(count // READERS), *directories, *STAYING],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed in range(READERS)
    ]
    answers = [process.communicate() for process in readers]
    assert [errors for _, errors in answers if errors] == []
    return sum(json.loads(output)["reads"] for output, _ in answers)


def resident_kib(pid: int) -> int:
    """Memory of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def descriptors(pid: int) -> list[str]:
    """What a process has open."""
    found = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            found.append(os.readlink(f"/proc/{pid}/fd/{name}"))
    return sorted(found)


def eventually(happened: Callable[[], bool]) -> bool:
    """Wait for what must happen some time."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not happened() and time.monotonic() < deadline:
        time.sleep(0.1)
    return happened()


def test_nothing_breaks_while_everything_changes(mounts: Mounts, instance: Instance) -> None:
    """Every reading is whole and consistent, `ls` is right at once, and the server neither leaks nor grows."""
    churn = Churn(mounts, instance)
    churn.start()
    try:
        warm_up = read_with_all(instance, reads() // 5)
        resident_before = resident_kib(instance.pid)
        rest = read_with_all(instance, reads() - reads() // 5)
        resident_after = resident_kib(instance.pid)
    finally:
        churn.stop()
    assert churn.problems == []
    assert churn.rounds >= 20
    assert warm_up + rest >= reads()
    assert resident_after - resident_before <= GROWTH_KIB
    status = instance.status
    assert status["errors"] == {}
    assert status["open_files"] == 0


def test_descriptors_are_given_back(mounts: Mounts, instance: Instance) -> None:
    """What the server opens to answer for a container is closed when the container is gone."""
    pid = instance.pid
    read_with_all(instance, READERS * 50)  # everything about the containers that stay is open
    before = descriptors(pid)
    names = [os.urandom(32).hex() for _ in range(10)]
    for name in names:
        create(mounts, f"{TOP}/docker/{name}")
        for path in reader.FILES:
            assert (instance.open / name / path).read_bytes() or path == "proc/diskstats"
    assert len(descriptors(pid)) > len(before)
    for name in names:
        remove(mounts, f"{TOP}/docker/{name}")
    assert eventually(lambda: len(descriptors(pid)) <= len(before)), set(descriptors(pid)) - set(before)
    deleted = [path for path in descriptors(pid) if path.startswith("/sys/fs/cgroup") and path.endswith(" (deleted)")]
    assert deleted == []
