"""Limits that are nested, changed, raised and removed while files are read; lives of cgroups; who may read.

Containers here are bare cgroups with an engine's path, so that each step is in the test's hand.
"""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cgroup_model.control import Limits, add_process, apply, create, kill, remove
from cgroup_model.mounts import Mounts, discover_mounts
from cgroup_model.snapshot import UNLIMITED
from tests.integration.containers import MIB, Instance, mounted, running

TTL_SECONDS = 0.01
TOP = f"/cgscope-test-limits-{os.getpid()}"
FILES = ("proc/meminfo", "proc/stat", "proc/cpuinfo", "proc/uptime", "proc/loadavg", "proc/swaps")
NOBODY = 65534

# Runs in the container's cgroup as its first process, told line by line to use CPU time.
WORKER = "import sys\nfor line in sys.stdin:\n    sum(range(int(line)))\n    print('done', flush=True)\n"


@pytest.fixture(scope="module")
def mounts() -> Mounts:
    """The machine's hierarchies."""
    if os.geteuid() != 0:
        pytest.skip("containers take root")
    return discover_mounts()


@pytest.fixture(scope="module")
def instance(mounts: Mounts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:  # noqa: ARG001 - root
    """A private instance of the file system."""
    with mounted(tmp_path_factory.mktemp("instance")) as instance:
        yield instance


class Box:
    """A container: a cgroup with one process that works when it is told to."""

    def __init__(self, mounts: Mounts, instance: Instance, below: str = "docker", *, key: str | None = None) -> None:
        self.key = key or os.urandom(32).hex()
        self.path = f"{TOP}/{below}/{self.key}"
        self._mounts = mounts
        self._roots = {"open": instance.open, "cached": instance.cached}
        create(mounts, self.path)
        self._process = subprocess.Popen(
            [sys.executable, "-c", WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        add_process(mounts, self.path, self._process.pid)

    def limit(self, limits: Limits, path: str | None = None) -> None:
        """Set limits, of an ancestor when ``path`` is given."""
        apply(self._mounts, path or self.path, limits)

    def work(self, numbers: int = 200_000) -> None:
        """Use some CPU time."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{numbers}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "done\n"

    def file(self, path: str, connection: str = "open") -> Path:
        """Return where a file is."""
        return self._roots[connection] / self.key / path

    def text(self, path: str, connection: str = "open") -> str:
        """Read a file."""
        return self.file(path, connection).read_text()

    def total_bytes(self, connection: str = "open") -> int:
        """MemTotal."""
        return int(self.text("proc/meminfo", connection).split()[1]) * 1024

    @property
    def cpus(self) -> int:
        """The CPUs shown, in which stat, cpuinfo and online agree."""
        counts = {
            sum(line[:3] == "cpu" and line[3:4].isdigit() for line in self.text("proc/stat").splitlines()),
            self.text("proc/cpuinfo").count("processor\t:"),
            int(self.text("sys/devices/system/cpu/online").strip().split("-")[-1]) + 1,
        }
        assert len(counts) == 1
        return counts.pop()

    def remove(self) -> None:
        """End the process and remove the cgroup."""
        with contextlib.suppress(Exception):
            kill(self._mounts, self.path)
        self._process.communicate()
        remove(self._mounts, self.path)


Make = Callable[..., Box]


def read_inside(mounts: Mounts, box: Box, command: str) -> str:
    """Run a shell command in a container's cgroup and return its output."""
    process = subprocess.Popen(
        ["sh", "-c", f"read -r go; {command}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    add_process(mounts, box.path, process.pid)
    output, _ = process.communicate("go\n")
    assert process.returncode == 0
    return output


@pytest.fixture
def make(mounts: Mounts, instance: Instance) -> Iterator[Make]:
    """Make containers that are gone after the test."""
    boxes: list[Box] = []

    def made(below: str = "docker", key: str | None = None) -> Box:
        boxes.append(Box(mounts, instance, below, key=key))
        return boxes[-1]

    yield made
    for box in boxes:
        box.remove()
    remove(mounts, TOP)


def machine_total() -> int:
    """The machine's memory."""
    return int(Path("/proc/meminfo").read_text().split()[1]) * 1024


def after_ttl() -> None:
    """Wait until what the cached connection remembers has expired, rounded up to the kernel's clock ticks."""
    time.sleep(TTL_SECONDS + 0.03)


# -------------------------------------------------------------------------------------------- nested limits


def test_the_tightest_ancestor_binds(make: Make) -> None:
    """A container without a limit has its ancestors' smallest, in every file."""
    box = make("pod/docker")
    assert box.total_bytes() == machine_total()
    box.limit(Limits(memory_bytes=200 * MIB, pids=60), TOP)
    box.limit(Limits(memory_bytes=100 * MIB, cpus=1, pids=80), f"{TOP}/pod")
    assert box.total_bytes() == 100 * MIB
    assert box.cpus == 1
    assert box.text("proc/sys/kernel/threads-max") == "60\n"
    box.limit(Limits(memory_bytes=64 * MIB, pids=40))
    assert box.total_bytes() == 64 * MIB
    assert box.text("proc/sys/kernel/threads-max") == "40\n"


def test_limits_outside_of_the_cgroup_namespace_bind(make: Make, mounts: Mounts, instance: Instance) -> None:
    """Who cannot see its ancestors, being the root of its cgroup namespace, is bound by them all the same."""
    box = make("pod/docker")
    box.limit(Limits(memory_bytes=64 * MIB), TOP)
    command = f"cat /proc/self/cgroup; head -1 {instance.mountpoint}/proc/meminfo"
    *paths, total = read_inside(mounts, box, f"unshare -C sh -c '{command}'").splitlines()
    assert {path.split(":", 2)[2] for path in paths if "memory" in path or path.startswith("0::")} == {"/"}
    assert int(total.split()[1]) * 1024 == 64 * MIB


WHOSE = pytest.mark.parametrize("whose", [None, TOP], ids=["own", "ancestor"])
"""Whose limits are changed: the container's, or those of a cgroup above it."""


@WHOSE
@pytest.mark.parametrize("connection", ["open", "cached"])
def test_changed_limits_show_at_the_next_look(make: Make, connection: str, whose: str | None) -> None:
    """Lowered, raised and removed limits are what the next reading after the TTL says, also of an open descriptor."""
    box = make()
    with box.file("proc/meminfo", connection).open("rb", buffering=0) as kept:
        for limit in (64 * MIB, 128 * MIB, 96 * MIB, UNLIMITED):
            box.limit(Limits(memory_bytes=limit), whose)
            after_ttl()
            expected = limit if isinstance(limit, int) else machine_total()
            assert box.total_bytes(connection) == expected
            kept.seek(0)
            assert int(kept.read().split()[1]) * 1024 == expected


@WHOSE
def test_limits_change_while_a_file_is_read(make: Make, whose: str | None) -> None:
    """What has been begun is read to its end as it was; the next reading from the start is new."""
    box = make()
    box.limit(Limits(memory_bytes=64 * MIB), whose)
    with box.file("proc/meminfo").open("rb", buffering=0) as kept:
        before = kept.read(10)  # the name of the first value
        box.limit(Limits(memory_bytes=128 * MIB), whose)
        before += b"".join(iter(lambda: kept.read(77), b""))
        kept.seek(0)
        after = b"".join(iter(lambda: kept.read(4096), b""))
    assert int(before.split()[1]) * 1024 == 64 * MIB
    assert int(after.split()[1]) * 1024 == 128 * MIB
    assert len(before) == len(after)


# ------------------------------------------------------------------------------------------------------ CPUs


def cpu_lines(text: str) -> dict[str, list[int]]:
    """The CPU lines of /proc/stat."""
    lines = (line.split() for line in text.splitlines() if line.startswith("cpu"))
    return {name: [int(field) for field in fields] for name, *fields in lines}


def test_cpu_times_never_fall_whatever_the_quota(make: Make) -> None:
    """Over 2, 1 and 2 CPUs, by both ways to the file, no field of any line is ever less than it was."""
    box = make()
    machine = len(os.sched_getaffinity(0))
    seen: dict[str, list[int]] = {}
    for cpus in (2, 1, 2, 0.5, UNLIMITED, 1):
        box.limit(Limits(cpus=cpus))
        for connection in ("open", "cached"):
            box.work()
            shown = cpu_lines(box.text("proc/stat", connection))
            for name, fields in shown.items():
                before = seen.get(name, fields)
                assert all(new >= old for new, old in zip(fields, before, strict=True)), (cpus, name, before, fields)
            assert all(total >= sum(parts) for total, *parts in zip(*shown.values(), strict=True))
            seen.update(shown)
        assert box.cpus == (machine if cpus is UNLIMITED else min(machine, -int(-cpus // 1)))


def test_cpuset_decides_which_cpus_are_shown(make: Make) -> None:
    """A cpuset of one CPU shows one, numbered 0, and nothing falls when it moves to another or grows again."""
    every = sorted(os.sched_getaffinity(0))
    if len(every) < 2:
        pytest.skip("this machine has one CPU")
    box = make()
    seen: list[int] = []
    for cpuset in (f"{every[0]},{every[1]}", str(every[1]), str(every[0]), f"{every[0]},{every[1]}"):
        box.limit(Limits(cpuset=cpuset))
        box.work()
        assert box.cpus == len(cpuset.split(","))
        total = cpu_lines(box.text("proc/stat"))["cpu"]
        assert all(new >= old for new, old in zip(total, seen or total, strict=True))
        seen = total


# ----------------------------------------------------------------------------------------------------- lives


def reading(file: int) -> bytes | int | None:
    """Content from the start, or the number of the error."""
    try:
        return os.pread(file, 1 << 16, 0)
    except OSError as error:
        return error.errno


@pytest.mark.parametrize("connection", ["open", "cached"])
def test_a_successor_is_never_taken_for_its_predecessor(make: Make, connection: str) -> None:
    """A container that is gone answers ENODEV on what is still open; the one that comes after, on the same path."""
    old = make()
    old.limit(Limits(memory_bytes=64 * MIB))
    kept = {path: os.open(old.file(path, connection), os.O_RDONLY) for path in FILES}
    try:
        assert all(isinstance(reading(file), bytes) for file in kept.values())
        old.remove()
        after_ttl()
        assert {path: reading(file) for path, file in kept.items()} == dict.fromkeys(FILES, errno.ENODEV)
        with pytest.raises(FileNotFoundError):
            old.text("proc/meminfo", connection)
        new = make(key=old.key)
        new.limit(Limits(memory_bytes=96 * MIB))
        after_ttl()
        assert new.total_bytes(connection) == 96 * MIB
        assert {path: reading(file) for path, file in kept.items()} == dict.fromkeys(FILES, errno.ENODEV)
    finally:
        for file in kept.values():
            os.close(file)


@pytest.mark.parametrize("connection", ["open", "cached"])
def test_a_successor_that_came_unnoticed(make: Make, connection: str) -> None:
    """The same when nobody looked between the end of the one and the start of the other."""
    old = make()
    old.limit(Limits(memory_bytes=64 * MIB))
    with old.file("proc/meminfo", connection).open("rb", buffering=0) as kept:
        assert int(kept.read().split()[1]) * 1024 == 64 * MIB
        old.remove()
        new = make(key=old.key)
        new.limit(Limits(memory_bytes=96 * MIB))
        after_ttl()
        assert new.total_bytes(connection) == 96 * MIB
        assert reading(kept.fileno()) == errno.ENODEV


def test_age_starts_again_with_the_successor(make: Make) -> None:
    """Uptime and CPU time are those of this life, not of an earlier one under the same name."""
    old = make()
    old.work(5_000_000)
    used = sum(cpu_lines(old.text("proc/stat"))["cpu"][:3])
    age = float(old.text("proc/uptime").split()[0])
    assert used > 0
    old.remove()
    new = make(key=old.key)
    assert float(new.text("proc/uptime").split()[0]) < age
    assert sum(cpu_lines(new.text("proc/stat"))["cpu"][:4]) / 100 < age + used / 100


# ----------------------------------------------------------------------------------------------- hostile names

HOSTILE = (b"a b) R 1 1", b"two\nlines 1", b") (", b"R) S 0 0 0", b"\xff\xfe\x01%s%n", b"cpu 1 2 3\n")


def test_names_of_tasks_do_no_harm(make: Make, mounts: Mounts) -> None:
    """Spaces, newlines, brackets and bytes that are no text in a task's name change no number."""
    box = make()
    named = "import sys; open('/proc/self/comm', 'wb').write(bytes.fromhex(sys.argv[1])); "
    script = named + "print('ready', flush=True); sys.stdin.read()"
    processes = [
        subprocess.Popen([sys.executable, "-c", script, name.hex()], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for name in HOSTILE
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            add_process(mounts, box.path, process.pid)
        for _ in range(3):
            load = box.text("proc/loadavg").split()
            running_and_total = load[3].split("/")
            assert len(load) == 5
            assert running_and_total[1] == str(len(HOSTILE) + 1)
            assert 1 <= int(running_and_total[0]) <= len(HOSTILE) + 1
            age, idle = map(float, box.text("proc/uptime").split())
            assert idle >= 0
            assert 0 < age < 3600
            lines = dict(line.split(maxsplit=1) for line in box.text("proc/stat").splitlines())
            assert int(lines["procs_running"]) <= len(HOSTILE) + 1
            assert int(lines["procs_blocked"]) <= len(HOSTILE) + 1
    finally:
        for process in processes:
            process.communicate()


# --------------------------------------------------------------------------------------------- who may read


def test_directories_of_containers_are_roots(make: Make) -> None:
    """Others can neither list nor enter them, on either connection; the kernel itself refuses (default_permissions)."""
    box = make()
    for connection in ("open", "cached"):
        file = box.file("proc/meminfo", connection)
        # Through a descriptor, so that it is this directory which refuses, and not one on the way to it.
        directory = os.open(file.parents[2], os.O_RDONLY)
        try:
            assert os.fstat(directory).st_mode & 0o777 == 0o700
            for words in (["ls", "."], ["cat", f"./{box.key}/proc/meminfo"]):
                words[-1] = f"/proc/self/fd/{directory}/{words[-1]}"
                refused = subprocess.run(
                    words,
                    user=NOBODY,
                    group=NOBODY,
                    extra_groups=[],
                    pass_fds=[directory],
                    capture_output=True,
                    check=False,
                )
                assert refused.returncode != 0
                assert b"Permission denied" in refused.stderr
        finally:
            os.close(directory)


def test_files_are_read_by_any_user_of_the_container(instance: Instance) -> None:
    """Through the container's binds, another user and root of a user namespace read what root reads."""
    name = f"cgscope-test-limits-user-{os.getpid()}"
    with running(instance, name, "--memory", "64M", "--cpus", "1") as container:
        files = " ".join(f"/{path}" for path in FILES)
        first = "/proc/meminfo | head -1"
        expected = container.sh(f"cat {first}")
        assert int(expected.split()[1]) == 64 * 1024
        for wrapper in (f"setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups", "unshare -U", "unshare -U -r"):
            assert container.sh(f"{wrapper} cat {first}") == expected
            assert container.sh(f"{wrapper} cat {files} | wc -l") != "0"
        assert "Read-only file system" in container.sh(
            f"setpriv --reuid {NOBODY} --clear-groups sh -c ': > /proc/stat' || true"
        )


def test_nested_pid_namespaces(instance: Instance) -> None:
    """A pid namespace inside of a container is no other container: the same limits, the same age."""
    name = f"cgscope-test-limits-pid-{os.getpid()}"
    with running(instance, name, "--memory", "64M", "--pids", "50") as container:
        inner = "unshare -p -f sh -c 'echo $$; head -1 /proc/meminfo; cat /proc/sys/kernel/threads-max'"
        pid, total, threads = container.sh(inner).splitlines()
        assert pid == "1"
        assert int(total.split()[1]) == 64 * 1024
        assert threads == "50"


def test_who_asks_decides_on_the_open_connection(make: Make, instance: Instance, mounts: Mounts) -> None:
    """proc/meminfo of the mount itself is the reader's container's; outside of any it is the machine's."""
    box = make()
    box.limit(Limits(memory_bytes=64 * MIB))
    file = instance.mountpoint / "proc/meminfo"
    assert int(file.read_text().split()[1]) * 1024 == machine_total()
    assert int(read_inside(mounts, box, f"head -1 {file}").split()[1]) * 1024 == 64 * MIB
