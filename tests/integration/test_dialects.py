"""The dialects on real cgroups of this kernel, compared with what its control files say; on v1, hybrid and v2."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from cgroup_model.control import (
    ControlError,
    Limits,
    add_process,
    apply,
    create,
    freeze,
    kill,
    limit_writes,
    remove,
    thaw,
)
from cgroup_model.dialects import Dialect, dialect_for
from cgroup_model.mounts import Mounts, discover_mounts
from cgroup_model.snapshot import UNLIMITED
from cgroup_model.source import CgroupGone, Missing, Source

MIB = 1 << 20
TOP = f"/cgscope-test-dialects-{os.getpid()}"
BOX = f"{TOP}/box"
CONTROLLERS = ("", "memory", "cpu", "cpuacct", "cpuset", "io", "pids", "hugetlb", "freezer")

# Once moved: 24 MiB, a second thread, and more CPU time than its quota lets it have at once.
BUSY = """
import threading, time
input()
threading.Thread(target=threading.Event().wait, daemon=True).start()
block = bytearray(b"x") * (24 << 20)
start = time.process_time()
while time.process_time() < start + 0.3:
    sum(range(10_000))
print("ready", flush=True)
threading.Event().wait()
"""


class Box:
    """A cgroup, how to read it with our code, and how to read its files without."""

    def __init__(self, mounts: Mounts, path: str) -> None:
        self.mounts = mounts
        self.path = path
        self.source = Source()
        served = {name: mounts.for_controller(name) for name in CONTROLLERS}
        self.dirs = {name: one.directory(path) for name, one in served.items() if one is not None}

    def dialect(self, controller: str) -> Dialect:
        """Return the dialect of a controller; skips the test where nothing serves it."""
        hierarchy = self.mounts.for_controller(controller)
        if hierarchy is None:
            pytest.skip(f"no hierarchy serves {controller or 'cgroup2'} here")
        return dialect_for(hierarchy)

    def version(self, controller: str) -> int:
        """Return 1 or 2; skips the test where nothing serves the controller."""
        self.dialect(controller)
        hierarchy = self.mounts.for_controller(controller)
        assert hierarchy is not None
        return hierarchy.version

    def raw(self, controller: str, v1_name: str, v2_name: str) -> str:
        """Read a control file, without any of our code."""
        name = v1_name if self.version(controller) == 1 else v2_name
        return Path(self.dirs[controller], name).read_text()

    def raw_keys(self, controller: str, v1_name: str, v2_name: str) -> dict[str, int]:
        """Read a control file of keys and numbers, without any of our code."""
        return {
            key: int(value)
            for key, value in re.findall(r"^(\S+) (\d+)$", self.raw(controller, v1_name, v2_name), re.MULTILINE)
        }


@contextmanager
def started(mounts: Mounts, path: str, script: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a Python script that waits for a line, move it into a cgroup, and end it at last."""
    process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        add_process(mounts, path, process.pid)
        yield process
    finally:
        process.kill()
        process.communicate()


def go(process: subprocess.Popen[bytes]) -> bytes:
    """Give the line that it waits for; returns its answer."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"\n")
    process.stdin.flush()
    return process.stdout.readline()


@pytest.fixture(scope="module")
def mounts() -> Mounts:
    """Find the machine's hierarchies."""
    if os.geteuid() != 0:
        pytest.skip("making cgroups takes root")
    return discover_mounts()


@pytest.fixture(scope="module")
def box(mounts: Mounts) -> Iterator[Box]:
    """Make a limited cgroup with a process that was busy and waits."""
    create(mounts, BOX)
    try:
        apply(mounts, BOX, Limits(memory_bytes=96 * MIB, cpus=0.25, cpuset="0", pids=50))
        with started(mounts, BOX, BUSY) as process:
            assert go(process) == b"ready\n"
            yield Box(mounts, BOX)
    finally:
        remove(mounts, TOP)


@pytest.fixture
def fresh(mounts: Mounts) -> Iterator[Callable[[str], Box]]:
    """Make empty cgroups by name; they are removed afterwards with all that is in them."""
    made: list[str] = []

    def make(name: str) -> Box:
        path = f"{TOP}-{name}"
        made.append(path)
        create(mounts, path)
        return Box(mounts, path)

    yield make
    for path in made:
        with suppress(CgroupGone):
            kill(mounts, path)
        remove(mounts, path)


# ---------------------------------------------------------------------------------------------- memory


def test_memory_usage_and_limit(box: Box) -> None:
    """Usage lies between two readings of the kernel's file; the limit is the one that was set."""

    def usage() -> int:
        return int(box.raw("memory", "memory.usage_in_bytes", "memory.current"))

    before = usage()
    memory = box.dialect("memory").read_memory(box.source, box.dirs)
    after = usage()
    assert memory.current is not None
    assert min(before, after) <= memory.current <= max(before, after)
    assert memory.max == 96 * MIB
    assert memory.peak is None or memory.peak >= memory.current


def test_memory_stat(box: Box) -> None:
    """Each value is the file's own; what the process wrote to is anonymous memory."""
    memory = box.dialect("memory").read_memory(box.source, box.dirs)
    raw = box.raw_keys("memory", "memory.stat", "memory.stat")
    names = {"anon": "total_rss", "file": "total_cache", "shmem": "total_shmem", "file_mapped": "total_mapped_file"}
    for field, v1_name in names.items():
        assert getattr(memory.stat, field) == raw[v1_name if box.version("memory") == 1 else field]
    assert memory.stat.anon is not None
    assert memory.stat.anon >= 24 * MIB


def test_v2_memory_stat_is_complete(box: Box) -> None:
    """Every key of this kernel's memory.stat that the record has a field for is read."""
    if box.version("memory") == 1:
        pytest.skip("the memory controller is on v1 here")
    memory = box.dialect("memory").read_memory(box.source, box.dirs)
    raw = box.raw_keys("memory", "memory.stat", "memory.stat")
    known = {key for key in raw if hasattr(memory.stat, key)}
    assert len(known) >= 30
    assert {key for key in known if getattr(memory.stat, key) is None} == set()


def test_memory_level_agrees_with_the_whole_record(box: Box) -> None:
    """The cheap read gives the same limit and page cache; the kernel's own minimum over ancestors is the limit."""
    dialect = box.dialect("memory")
    memory = dialect.read_memory(box.source, box.dirs)
    level = dialect.read_memory_level(box.source, box.dirs, with_stat=True)
    assert (level.max, level.swap_max) == (memory.max, memory.swap_max)
    assert (level.active_file, level.inactive_file) == (memory.stat.active_file, memory.stat.inactive_file)
    assert level.hierarchical_max in (None, 96 * MIB)


def test_oom_kill_is_counted(mounts: Mounts, fresh: Callable[[str], Box]) -> None:
    """A process that outgrows the limit dies, and the event is read."""
    box = fresh("oom")
    dialect = box.dialect("memory")
    apply(mounts, box.path, Limits(memory_bytes=24 * MIB))
    if dialect.read_memory(box.source, box.dirs).swap_max is not None:
        apply(mounts, box.path, Limits(swap_bytes=0))
    with started(mounts, box.path, "input(); block = bytearray(b'x') * (64 << 20)") as process:
        assert go(process) == b""
        assert process.wait() == -9
    events = dialect.read_memory(box.source, box.dirs).events
    assert events is not None
    assert events.oom_kill == box.raw_keys("memory", "memory.oom_control", "memory.events")["oom_kill"] == 1


def test_memory_limit_moves_both_ways_and_keeps_swap(fresh: Callable[[str], Box]) -> None:
    """Raised, lowered and lifted in any order; what swap alone may be stays the same."""
    box = fresh("memory")
    dialect = box.dialect("memory")

    def limits() -> tuple[object, object]:
        memory = dialect.read_memory(box.source, box.dirs)
        return memory.max, memory.swap_max

    dialect.write_memory_max(box.source, box.dirs, 64 * MIB)
    swap: object = limits()[1]
    if swap is not None:
        dialect.write_swap_max(box.source, box.dirs, 16 * MIB)
        swap = 16 * MIB
    for limit in (32 * MIB, 128 * MIB, 64 * MIB):
        dialect.write_memory_max(box.source, box.dirs, limit)
        assert limits() == (limit, swap)
    dialect.write_memory_max(box.source, box.dirs, UNLIMITED)
    assert limits()[0] is UNLIMITED


def test_writes_to_a_disk_are_limited(fresh: Callable[[str], Box], tmp_path: Path) -> None:
    """The limit is read as it was written; what is no disk is one clear line."""
    box = fresh("writes")
    device = os.stat(tmp_path).st_dev
    disk = os.major(device), os.minor(device)
    if not os.path.exists("/sys/dev/block/{}:{}".format(*disk)):
        spare = Path("/sys/class/block/ubda/dev")
        if not spare.exists():
            pytest.skip(f"{tmp_path} is on no block device, and there is no spare disk {spare}")
        major, minor = map(int, spare.read_text().split(":"))
        disk = major, minor
    limit_writes(box.mounts, box.path, disk, 4 * MIB)
    limits = {(one.major, one.minor): one.wbps_max for one in box.dialect("io").read_io(box.source, box.dirs).devices}
    assert limits[disk] == 4 * MIB
    with pytest.raises(ControlError, match="0:4095 is no disk"):
        limit_writes(box.mounts, box.path, (0, 4095), MIB)


def test_memory_high_is_v2_only(fresh: Callable[[str], Box]) -> None:
    """v2 reads back what was written; v1 says that it has no such thing."""
    box = fresh("high")
    dialect = box.dialect("memory")
    if box.version("memory") == 1:
        with pytest.raises(Missing):
            dialect.write_memory_high(box.source, box.dirs, 32 * MIB)
    else:
        dialect.write_memory_high(box.source, box.dirs, 32 * MIB)
        assert dialect.read_memory(box.source, box.dirs).high == 32 * MIB


# ------------------------------------------------------------------------------------------- cpu, cpuset


def test_cpu_usage(box: Box) -> None:
    """The time is the kernel's, in microseconds, and at least what the process used."""

    def usage() -> int:
        if "cpuacct" in box.dirs:
            return int(Path(box.dirs["cpuacct"], "cpuacct.usage").read_text()) // 1000
        return box.raw_keys("", "", "cpu.stat")["usage_usec"]

    before = usage()
    cpu = box.dialect("cpuacct" if "cpuacct" in box.dirs else "").read_cpu(box.source, box.dirs)
    assert cpu.usage_usec is not None
    assert before <= cpu.usage_usec <= usage()
    assert cpu.usage_usec >= 300_000
    assert cpu.user_usec
    assert cpu.system_usec is not None
    if cpu.per_cpu_usec is not None:
        assert set(cpu.per_cpu_usec) >= {0}
        assert sum(map(sum, cpu.per_cpu_usec.values())) > 0


def test_cpu_quota_and_throttling(box: Box) -> None:
    """A process that wants a whole CPU is throttled at a quarter; the counters are the kernel's."""
    cpu = box.dialect("cpu").read_cpu(box.source, box.dirs)
    assert (cpu.quota_usec, cpu.period_usec, cpu.quota_cpus) == (25_000, 100_000, 0.25)
    quota = box.dialect("cpu").read_quota(box.source, box.dirs)
    assert (quota.quota_usec, quota.period_usec) == (25_000, 100_000)
    raw = box.raw_keys("cpu", "cpu.stat", "cpu.stat")
    assert cpu.throttling is not None
    assert cpu.throttling.nr_throttled == raw["nr_throttled"] > 0
    usec = raw["throttled_usec"] if box.version("cpu") == 2 else raw["throttled_time"] // 1000
    assert cpu.throttling.throttled_usec == usec > 0
    assert cpu.weight == 100


def test_quota_can_be_lifted(fresh: Callable[[str], Box]) -> None:
    """Another period, and no quota, are read back."""
    box = fresh("quota")
    dialect = box.dialect("cpu")
    dialect.write_quota(box.source, box.dirs, 150_000, 50_000)
    assert dialect.read_cpu(box.source, box.dirs).quota_cpus == 3.0
    dialect.write_quota(box.source, box.dirs, UNLIMITED, 100_000)
    cpu = dialect.read_cpu(box.source, box.dirs)
    assert (cpu.quota_usec, cpu.period_usec) == (UNLIMITED, 100_000)
    assert dialect.read_quota(box.source, box.dirs).quota_usec is UNLIMITED


def test_cpuset(box: Box) -> None:
    """The CPU that was chosen is configured and in effect."""
    cpuset = box.dialect("cpuset").read_cpuset(box.source, box.dirs)
    assert cpuset.cpus == cpuset.cpus_effective == (0,)
    assert cpuset.mems_effective == (0,)


# ------------------------------------------------------------------------------------ io, pids, hugetlb


def test_pids(box: Box) -> None:
    """Tasks are threads: the process has two; the lists of members agree."""
    pids = box.dialect("pids").read_pids(box.source, box.dirs)
    directory = box.dirs["pids"]
    assert (pids.current, pids.max) == (2, 50)
    assert box.dialect("pids").read_pids_max(box.source, box.dirs) == 50
    assert len(box.dialect("pids").read_threads(box.source, directory)) == 2
    (pid,) = box.dialect("pids").read_procs(box.source, directory)
    assert str(pid) == box.raw("pids", "cgroup.procs", "cgroup.procs").strip()


def test_refused_forks_are_counted(mounts: Mounts, fresh: Callable[[str], Box]) -> None:
    """pids.events counts what the limit refused."""
    box = fresh("pids")
    apply(mounts, box.path, Limits(pids=1))
    script = "import os\ninput()\ntry: os.fork()\nexcept BlockingIOError: print('refused', flush=True)"
    with started(mounts, box.path, script) as process:
        assert go(process) == b"refused\n"
    assert box.dialect("pids").read_pids(box.source, box.dirs).events_max == 1


@pytest.fixture
def block_file(tmp_path: Path) -> tuple[str, int]:
    """Find a megabyte that can be read from a disk directly: its path and the disk's number.

    It is on a disk itself (a guest's scratch disk), or in a file on one where disks may not be opened.
    """
    lines = [line.split() for line in Path("/proc/diskstats").read_text().splitlines()]
    for path in [f"/dev/{fields[2]}" for fields in lines if re.fullmatch(r"ubd[a-z]|[sv]d[a-z]", fields[2])]:
        with suppress(OSError):
            os.close(os.open(path, os.O_RDONLY | os.O_DIRECT))
            return path, os.stat(path).st_rdev
    file = tmp_path / "megabyte"
    file.write_bytes(bytes(MIB))
    os.sync()
    number = file.stat().st_dev
    if not os.path.exists(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}/queue"):
        pytest.skip("no disk to read from: temporary files are not on a whole disk, and none can be opened")
    return str(file), number


def test_io_is_counted(mounts: Mounts, fresh: Callable[[str], Box], block_file: tuple[str, int]) -> None:
    """A megabyte read around the page cache is in the record of its device, with the device's limit."""
    box = fresh("io")
    dialect = box.dialect("io")
    path, number = block_file
    major, minor = os.major(number), os.minor(number)
    name, text = ("blkio.throttle.read_bps_device", "{} 1073741824"), ("io.max", "{} rbps=1073741824")
    file, limit = name if box.version("io") == 1 else text
    Path(box.dirs["io"], file).write_text(limit.format(f"{major}:{minor}"))
    script = f"import mmap, os\ninput()\nf = os.open({path!r}, os.O_RDONLY | os.O_DIRECT)\n"
    script += "print(os.readv(f, [mmap.mmap(-1, 1 << 20)]), flush=True)\ninput()"
    with started(mounts, box.path, script) as process:
        assert go(process) == b"1048576\n"
        devices = {(one.major, one.minor): one for one in dialect.read_io(box.source, box.dirs).devices}
    device = devices[major, minor]
    assert device.rbps_max == 1 << 30
    assert device.wbps_max in (None, UNLIMITED)
    raw = box.raw("io", "blkio.throttle.io_service_bytes_recursive", "io.stat")
    counted = re.search(rf"^{major}:{minor} (?:Read |rbytes=)(\d+)", raw, re.MULTILINE)
    assert device.rbytes == (int(counted[1]) if counted else None)
    if box.version("io") == 2:
        assert device.rbytes == MIB


def test_hugetlb(fresh: Callable[[str], Box]) -> None:
    """Every size of huge page the kernel has, unused and without a limit."""
    box = fresh("hugetlb")
    records = box.dialect("hugetlb").read_hugetlb(box.source, box.dirs)
    sizes = {
        int(name.removeprefix("hugepages-").removesuffix("kB")) << 10 for name in os.listdir("/sys/kernel/mm/hugepages")
    }
    assert {one.page_size for one in records} == sizes
    assert {(one.current, one.max) for one in records} == {(0, UNLIMITED)}


# ------------------------------------------------------------------------------------------ core, members


def test_core_and_pressure(box: Box) -> None:
    """State of the v2 cgroup; pressure as far as this kernel accounts it."""
    dialect = box.dialect("")
    core = dialect.read_core(box.source, box.dirs)
    assert (core.populated, core.type, core.nr_descendants) == (True, "domain", 0)
    assert core.frozen in (False, None)
    pressure = dialect.read_pressure(box.source, box.dirs)
    for resource in ("cpu", "memory", "io"):
        try:
            text = Path(box.dirs[""], f"{resource}.pressure").read_text()
        except OSError:
            assert getattr(pressure, resource) is None
        else:
            assert getattr(pressure, resource).some.total_usec <= int(text.partition("total=")[2].split()[0]) + 10**6
            assert getattr(pressure, resource).raw.startswith(b"some avg10=")


def test_freezing(mounts: Mounts, fresh: Callable[[str], Box]) -> None:
    """After `freeze` the record says frozen, after `thaw` it does not and the process goes on."""
    box = fresh("freeze")
    controller = "freezer" if "freezer" in box.dirs else ""
    dialect = box.dialect(controller)
    with started(mounts, box.path, "input(); print('on', flush=True); input()") as process:
        freeze(mounts, box.path)
        assert dialect.read_core(box.source, box.dirs).frozen is True
        thaw(mounts, box.path)
        assert go(process) == b"on\n"
        assert dialect.read_core(box.source, box.dirs).frozen is False


def test_threaded_cgroups_list_threads_only(mounts: Mounts, fresh: Callable[[str], Box]) -> None:
    """A threaded cgroup refuses its list of processes: they are its domain's, and no error."""
    box = fresh("threaded")
    dialect = box.dialect("")
    child = f"{box.dirs['']}/threads"
    os.mkdir(child)
    Path(child, "cgroup.type").write_text("threaded")
    with started(mounts, box.path, "input()") as process:
        Path(child, "cgroup.threads").write_text(str(process.pid))
        assert dialect.read_threads(box.source, child) == [process.pid]
        assert dialect.read_procs(box.source, child) == []
        assert dialect.read_procs(box.source, box.dirs[""]) == [process.pid]
        assert dialect.read_core(box.source, {"": child}).type == "threaded"


def test_the_root_limits_nothing(mounts: Mounts) -> None:
    """On the root each reader gives a record or says `Missing`; nowhere is there a limit."""
    root = Box(mounts, "/")
    for controller in root.dirs.keys() & {"memory", "cpu", "cpuset", "io", "pids", "hugetlb"}:
        with suppress(Missing):
            record = getattr(root.dialect(controller), f"read_{controller}")(root.source, root.dirs)
            assert getattr(record, "max", None) in (None, UNLIMITED)
            assert getattr(record, "quota_usec", None) in (None, UNLIMITED)


def test_a_removed_cgroup_is_gone_and_its_successor_is_new(mounts: Mounts, fresh: Callable[[str], Box]) -> None:
    """Kept descriptors of a removed cgroup answer ENODEV: gone, dropped, and a new one under the name is read."""
    box = fresh("gone")
    readers = {"memory": "read_memory", "pids": "read_pids", "cpu": "read_cpu", "cpuset": "read_cpuset"}
    for controller, reader in readers.items():
        getattr(box.dialect(controller), reader)(box.source, box.dirs)
    held = box.source.stats.open_descriptors
    assert held > len(readers)
    remove(mounts, box.path)
    for controller, reader in readers.items():
        with pytest.raises(CgroupGone):
            getattr(box.dialect(controller), reader)(box.source, box.dirs)
    assert box.source.stats.open_descriptors < held
    create(mounts, box.path)
    apply(mounts, box.path, Limits(pids=7))
    assert box.dialect("pids").read_pids_max(box.source, box.dirs) == 7


def test_long_lists_of_members_are_whole(mounts: Mounts, fresh: Callable[[str], Box]) -> None:
    """A thousand threads do not fit into the kernel's page: the list is read to its end."""
    box = fresh("many")
    script = "import threading\ninput()\nthreading.stack_size(65536)\nwait = threading.Event().wait\n"
    script += (
        "for _ in range(1500): threading.Thread(target=wait, daemon=True).start()\nprint('ready', flush=True)\nwait()"
    )
    with started(mounts, box.path, script) as process:
        assert go(process) == b"ready\n"
        listed = box.dialect("pids").read_threads(box.source, box.dirs["pids"])
        assert set(listed) == {int(tid) for tid in os.listdir(f"/proc/{process.pid}/task")}
