"""What takes more than control files: real processes, and files of any content."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgroup_model.engines import Identity, Kind
from cgroup_model.hierarchy import Cgroup, Tree
from cgroup_model.host import HostFiles
from cgroup_model.mounts import Hierarchy, Mounts
from cgroup_model.procfs import Proc
from cgroup_model.source import Source
from exporters.readers.devices import device_names
from exporters.readers.filesystem import FilesystemReader
from exporters.readers.machine import MachineReader
from exporters.readers.members import Members
from exporters.readers.network import NetworkReader, parse_sockets
from exporters.readers.processes import ProcessReader
from exporters.readers.starts import StartReader

CONTAINER = Identity("docker", "x", "x", "x", kind=Kind.CONTAINER)


class Group:
    """A folder that stands for a hierarchy, with cgroups whose members can be any processes of this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.source = Source(budget=0)
        self.tree = Tree(Mounts((Hierarchy(2, str(folder), "/", frozenset({"memory"})),)), self.source)
        self.members = Members(self.tree, self.source)

    def with_processes(self, path: str, *pids: int) -> Cgroup:
        """Make a cgroup, or give it other processes."""
        directory = self.folder / path.strip("/")
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in pids))
        return self.tree.cgroup(path)


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Group]:
    """Make a hierarchy."""
    made = Group(tmp_path)
    yield made
    made.tree.close()


@pytest.fixture
def proc() -> Iterator[Proc]:
    """Open the machine's own procfs."""
    opened = Proc()
    yield opened
    opened.close()


@pytest.fixture
def holder() -> Iterator[subprocess.Popen[bytes]]:
    """Run a process with three sockets and a known number of descriptors."""
    script = "import socket, sys; s = [socket.socket() for _ in range(3)]; print(flush=True); sys.stdin.read()"
    process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.kill()
    process.communicate()


def test_processes_and_what_they_hold(group: Group, proc: Proc, holder: subprocess.Popen[bytes]) -> None:
    """Descriptors and sockets are those of /proc, of the cgroup and of those below it; who ended is not counted."""
    cgroup = group.with_processes("/a")
    group.with_processes("/a/below", holder.pid)
    held = ProcessReader(group.members, proc).read(cgroup)
    assert held is not None
    assert (held.processes, held.sockets) == (1, 3)
    assert held.file_descriptors == len(os.listdir(f"/proc/{holder.pid}/fd"))
    assert sum(held.states.values()) == 1
    holder.kill()
    holder.wait()
    gone = ProcessReader(group.members, proc).read(cgroup)
    assert gone is not None
    assert gone.file_descriptors is None


def test_no_processes_hold_nothing(group: Group, proc: Proc) -> None:
    """An empty container holds zero descriptors, which is known; the root is not asked at all."""
    held = ProcessReader(group.members, proc).read(group.with_processes("/a"))
    assert held is not None
    assert (held.processes, held.file_descriptors, held.sockets) == (0, 0, 0)
    assert ProcessReader(group.members, proc).read(group.with_processes("/", os.getpid())) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces take root")
def test_a_namespace_is_told_once(group: Group, proc: Proc) -> None:
    """Of containers that share a namespace the first tells it, at every scrape; the machine's own is nobody's."""
    inside = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; exec sleep 60"], stdout=subprocess.PIPE)
    try:
        assert inside.stdout is not None
        inside.stdout.readline()
        first, second = group.with_processes("/a", inside.pid), group.with_processes("/b", inside.pid)
        neighbour = group.with_processes("/c", os.getpid())
        reader = NetworkReader(group.members, proc)
        for _ in range(2):
            reader.begin()
            told = [reader.sockets(cgroup, CONTAINER) is not None for cgroup in (first, second, neighbour)]
            assert told == [True, False, False]
    finally:
        inside.kill()
        inside.communicate()


@pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces take root")
def test_a_number_that_another_process_has_is_looked_at_anew(group: Group, proc: Proc) -> None:
    """A container whose process is gone is not told by whoever got its number in another namespace."""
    inside = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; exec sleep 60"], stdout=subprocess.PIPE)
    try:
        assert inside.stdout is not None
        inside.stdout.readline()
        cgroup = group.with_processes("/a", inside.pid)
        reader = NetworkReader(group.members, proc)
        assert reader.sockets(cgroup, CONTAINER) is not None
        reader._speakers[cgroup] = os.getpid(), reader._speakers[cgroup][1]  # as if the number had a new owner
        reader.begin()
        assert reader.sockets(cgroup, CONTAINER) is not None
        assert reader._speakers[cgroup][0] == inside.pid
    finally:
        inside.kill()
        inside.communicate()


def test_the_root_tells_the_machines_interfaces(group: Group, proc: Proc) -> None:
    """The root cgroup has the interfaces of process 1, without the loopback."""
    reader = NetworkReader(group.members, proc)
    lines = Path("/proc/1/net/dev").read_text().splitlines()[2:]
    names = {line.split(":")[0].strip() for line in lines} - {"lo"}
    root = group.with_processes("/")
    assert {one.name for one in reader.interfaces(root, Identity("", "/", None, "/"))} == names


def test_writable_layers_are_added_up(group: Group, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Each inode once, hard links and folders included, links not followed; as `du` counts."""
    root = tmp_path_factory.mktemp("root")
    upper = root / "var/lib/upper"
    (upper / "sub").mkdir(parents=True)
    (upper / "file").write_bytes(b"x" * 100_000)
    os.link(upper / "file", upper / "sub/again")
    (upper / "out").symlink_to("/")
    proc_root = tmp_path_factory.mktemp("proc")
    (proc_root / "42").mkdir()
    options = "rw,lowerdir=/l,upperdir=/var/lib/upper,workdir=/w"
    (proc_root / "42/mountinfo").write_text(f"1 0 0:9 / / rw - overlay overlay {options}\n")
    cgroup = group.with_processes("/a", 42)
    reader = FilesystemReader(group.members, str(proc_root), str(root))
    try:
        reader.read(cgroup)  # begins to measure
        reader.measure_due()
        layer = reader.read(cgroup)
    finally:
        reader.close()
    used = subprocess.run(["du", "-s", "-B1", upper], capture_output=True, check=True).stdout.split()[0]
    assert layer is not None
    assert layer.usage_bytes == int(used) - upper.stat().st_blocks * 512
    assert layer.inodes == 3
    reader.keep_only(set())
    assert reader.read(group.with_processes("/b")) is None


@given(st.binary(max_size=200), st.binary(max_size=60))
def test_any_socket_files_are_parsed(sockstat: bytes, conntrack: bytes) -> None:
    """Files of any content give numbers or nothing."""
    parse_sockets(sockstat, conntrack)


def test_socket_files_as_the_kernel_writes_them() -> None:
    """The words of sockstat and the hexadecimal first number of the connection tracker."""
    sockstat = b"sockets: used 187\nTCP: inuse 4 orphan 1 tw 2 alloc 5 mem 0\nUDP: inuse 3 mem 2\n"
    found = parse_sockets(sockstat, b"entries  searched found\n0000001f  00000000 00000000\n")
    assert found is not None
    assert (found.used, found.tcp_in_use, found.tcp_orphan, found.tcp_time_wait, found.udp_in_use) == (187, 4, 1, 2, 3)
    assert found.conntrack_entries == 31


@given(st.binary(max_size=200))
def test_any_diskstats_are_parsed(data: bytes) -> None:
    """Lines of any content give names or nothing."""
    assert all(name.startswith("/dev/") for name in device_names(data).values())


def test_device_names() -> None:
    """As they are in /dev: an exclamation mark stands for a slash."""
    assert device_names(b" 8 0 sda 1 2\n 104 0 cciss!c0d0 1\nx\n") == {(8, 0): "/dev/sda", (104, 0): "/dev/cciss/c0d0"}


def test_the_machine_is_what_proc_says() -> None:
    """Sizes and maxima are those of this machine's own files."""
    with HostFiles() as host:
        reading = MachineReader(host).read()
    assert reading.memory_bytes == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert reading.cpu_cores == os.sysconf("SC_NPROCESSORS_ONLN")
    assert reading.pid_max == int(Path("/proc/sys/kernel/pid_max").read_text())
    assert reading.threads is not None
    assert reading.threads > 0


def test_a_machine_without_files_is_unknown(tmp_path: Path) -> None:
    """Whatever cannot be read is absent, not zero."""
    with HostFiles(str(tmp_path), str(tmp_path)) as host:
        reading = MachineReader(host, str(tmp_path)).read()
    assert reading.memory_bytes is None
    assert reading.threads is None
    assert reading.conntrack_max is None


class Ages:
    """Knows the ages that a test gives."""

    def __init__(self) -> None:
        self.age_seconds: float | None = None
        self.asked = 0

    def age(self, _: Cgroup) -> float | None:
        """Give the age, and count the question."""
        self.asked += 1
        return self.age_seconds

    def keep_only(self, _: object) -> None:
        """Forget nothing."""


def test_start_times_stay_the_same() -> None:
    """Worked out once, also when the clock is set; an empty cgroup is asked again after a while only."""
    ages, now = Ages(), [1000.0]
    reader = StartReader(ages, lambda: now[0])
    cgroup = Cgroup("/a", 1, {})
    assert reader.read(cgroup) is None
    assert reader.read(cgroup) is None
    assert ages.asked == 1
    ages.age_seconds, now[0] = 5.0, 1010.0
    start = reader.read(cgroup)
    now[0] = 5000.0
    assert start is not None
    assert (start.epoch, reader.read(cgroup)) == (1005.0, start)
    reader.keep_only([])
    ages.age_seconds = 1.0
    again = reader.read(cgroup)
    assert again is not None
    assert again.epoch == 4999.0
