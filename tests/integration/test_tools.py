"""Real programs inside a container of `procfs-fuse run`, compared with the container's control files.

How closely numbers agree:

* Memory: programs come and go between two readings, and the kernel charges memory in stocks of 64 pages per CPU
  and folds statistics every two seconds; `SLACK_BYTES` covers that. What is proved is bigger: 100 MiB.
* CPU: a program that shows a share of an interval T used the seconds that the control files count around it, no
  more; and of the time around it that was not used at most all lies inside T. See `Spent`. A busy machine
  widens these bounds by what it takes away, and never breaks them.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cgroup_model.mounts import Mounts, discover_mounts
from scripts.debian_tools import Tool
from scripts.load import count_io
from tests.integration.containers import MIB, Container, ControlFiles, Instance, mounted, running, words_of
from tests.integration.full_screen import screen_of

LIMIT = 256 * MIB
SLACK_BYTES = 6 * MIB
BURN = "sh -c 'while :; do :; done'"
DEADLINE_SECONDS = 90  # for what must happen some time; nothing takes a third of it

FindTool = Callable[[str], Tool]


def name(suffix: str) -> str:
    """A container of this test run's own."""
    return f"cgscope-test-tools-{os.getpid()}-{suffix}"


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


@pytest.fixture(scope="module")
def burning(instance: Instance) -> Iterator[Container]:
    """A container of one CPU in which one thread never rests; started first, so that its load has time to rise."""
    with running(instance, name("burning"), "--memory", "256M", "--cpus", "1") as container:
        container.start(BURN)
        yield container


@pytest.fixture(scope="module")
def container(instance: Instance, burning: Container) -> Iterator[Container]:  # noqa: ARG001 - that is to come first
    """A container of 256 MiB and one CPU that rests."""
    with running(instance, name("resting"), "--memory", "256M", "--cpus", "1", "--pids", "100") as container:
        yield container


@pytest.fixture
def control(container: Container, mounts: Mounts) -> ControlFiles:
    """Its control files."""
    return ControlFiles(mounts, container.path)


@dataclass
class Spent:
    """CPU time used and time gone by around a program that looked at an interval inside."""

    cpu_seconds: float = 0.0
    seconds: float = 0.0

    def holds(self, percent: float, interval_seconds: float) -> bool:
        """Whether a share of one CPU, of an interval at least that long, can be true. Two ticks of 10 ms are free."""
        tick = 2.0 / interval_seconds
        highest = self.cpu_seconds / interval_seconds * 100
        lowest = 100 - (self.seconds - self.cpu_seconds) / interval_seconds * 100
        return lowest - tick - 1 <= percent <= min(100.0, highest) + tick + 1


@contextlib.contextmanager
def watched(mounts: Mounts, container: Container) -> Iterator[Spent]:
    """Measure what the container uses meanwhile."""
    control, spent = ControlFiles(mounts, container.path), Spent()
    seconds, cpu_seconds = time.monotonic(), control.cpu_seconds
    yield spent
    spent.cpu_seconds = control.cpu_seconds - cpu_seconds
    spent.seconds = time.monotonic() - seconds


def numbers(text: str) -> list[float]:
    """All numbers of a line."""
    return [float(word) for word in re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.])", text)]


# ------------------------------------------------------------------------------------------------ memory


def free(container: Container, tool: FindTool) -> dict[str, dict[str, int]]:
    """What `free -b` says: row -> column -> bytes."""
    header, *rows = container.tool(tool("free"), "-b").splitlines()
    cells = {row.split(":")[0]: [int(word) for word in row.split(":")[1].split()] for row in rows}
    return {row: dict(zip(header.split(), values, strict=False)) for row, values in cells.items()}


def test_free(container: Container, control: ControlFiles, tool: FindTool) -> None:
    """`free -b` shows the limit to the byte, and what the control files say is used and cached."""
    before = control.memory_bytes, control.reclaimable_bytes, control.cache_bytes
    shown = free(container, tool)["Mem"]
    after = control.memory_bytes, control.reclaimable_bytes, control.cache_bytes
    lowest, highest = ([choose(pair) for pair in zip(before, after, strict=True)] for choose in (min, max))
    assert shown["total"] == control.memory_limit_bytes == LIMIT
    assert lowest[0] - highest[1] - SLACK_BYTES <= shown["used"] <= highest[0] + SLACK_BYTES
    assert lowest[2] - SLACK_BYTES <= shown["buff/cache"] <= highest[2] + SLACK_BYTES
    assert shown["shared"] <= control.shmem_bytes + SLACK_BYTES
    assert LIMIT - highest[0] - SLACK_BYTES <= shown["available"] <= LIMIT
    assert shown["free"] <= shown["available"]


def test_allocated_memory_is_used(container: Container, control: ControlFiles, tool: FindTool, tmp_path: Path) -> None:
    """100 MiB allocated are 100 MiB more in `used`, and free again afterwards."""
    before, usage_before = free(container, tool)["Mem"], control.memory_bytes
    program = f"block = b'x' * (100 * {MIB}); print('ready', flush=True); import time; time.sleep(600)"
    fifo = str(tmp_path / "ready")
    os.mkfifo(fifo)
    pid = container.start(f"{shlex.quote(sys.executable)} -c {shlex.quote(program)}", output=fifo)
    assert container.sh(f"head -1 {fifo}") == "ready"
    during, usage_during = free(container, tool)["Mem"], control.memory_bytes
    container.sh(f"kill {pid}")
    grown = during["used"] - before["used"]
    # The interpreter itself is a few MiB; what it maps of files counts as cache, and can be given back.
    assert 100 * MIB <= grown <= 100 * MIB + 2 * SLACK_BYTES
    assert abs(grown - (usage_during - usage_before)) <= 3 * SLACK_BYTES
    assert during["available"] <= before["available"] - 100 * MIB + SLACK_BYTES


def test_swap(container: Container, control: ControlFiles, tool: FindTool) -> None:
    """Swap is the machine's up to the limit; without any on the machine there is none, nor a line in /proc/swaps."""
    shown, lines = free(container, tool)["Swap"], container.sh("cat /proc/swaps").splitlines()
    machine = [line.split() for line in Path("/proc/swaps").read_text().splitlines()[1:]]
    total = sum(int(fields[2]) for fields in machine) * 1024
    assert shown["total"] == total
    assert lines[0].split()[0] == "Filename"
    if total:
        assert lines[1].split()[:2] == ["none", "virtual"]
        assert int(lines[1].split()[2]) * 1024 == total
        assert abs(shown["used"] - control.swap_bytes) <= SLACK_BYTES
    else:
        assert lines[1:] == []


def test_swap_limit(instance: Instance, tool: FindTool) -> None:
    """A container may have less swap than the machine, down to none."""
    machine = Path("/proc/swaps").read_text().splitlines()[1:]
    if not machine:
        pytest.skip("this machine has no swap")
    for limit in (64 * MIB, 0):
        with running(instance, name("swap"), "--memory", "128M", "--swap", str(limit)) as container:
            assert free(container, tool)["Swap"]["total"] == limit
            assert len(container.sh("cat /proc/swaps").splitlines()) == (2 if limit else 1)


# --------------------------------------------------------------------------------------------------- CPU


def test_stat_is_what_the_control_files_count(burning: Container, mounts: Mounts) -> None:
    """The used time in /proc/stat is the CPU time that the cgroup's files count, to the clock tick, time and again."""
    control = ControlFiles(mounts, burning.path)
    ticks = 1 / os.sysconf("SC_CLK_TCK")
    for _ in range(10):
        before = control.cpu_seconds
        user, nice, system = map(int, burning.sh("head -1 /proc/stat").split()[1:4])
        assert before - 3 * ticks <= (user + nice + system) * ticks <= control.cpu_seconds + 3 * ticks
        time.sleep(0.1)  # not a race: between the readings something shall happen


def test_top(burning: Container, mounts: Mounts, tool: FindTool) -> None:
    """The second screen of `top`, which rewinds its descriptors, is as fresh as the first: one CPU busy."""
    with watched(mounts, burning) as spent:
        text = burning.tool(tool("top"), "-b -n2 -d2 -w512")
    first, second = re.split(r"^top - ", text, flags=re.MULTILINE)[1:]
    cpu = re.search(r"^%Cpu\(s\):(.*) id,", second, re.MULTILINE)
    assert cpu is not None
    user, system, nice, idle = numbers(cpu[1])
    assert spent.holds(user + system + nice, 2)
    assert abs(user + system + nice + idle - 100) < 0.5
    processes = [line.split() for line in second.splitlines() if line.endswith(" sh")]
    assert any(spent.holds(float(fields[8]), 2) for fields in processes), second
    for screen in (first, second):
        assert re.search(r"^MiB Mem : +256\.0 total", screen, re.MULTILINE)
    assert re.search(r"\bup 0 min|\bup 1 min", second)


def test_mpstat(burning: Container, mounts: Mounts, tool: FindTool) -> None:
    """`mpstat` shows one CPU, and how busy it is."""
    with watched(mounts, burning) as spent:
        lines = burning.tool(tool("mpstat"), "-P ALL 1 2").splitlines()
    _, *rows = [line.split() for line in lines if line.startswith("Average:")]
    idle = {row[1]: float(row[-1]) for row in rows}
    assert set(idle) == {"all", "0"}
    assert spent.holds(100 - idle["all"], 2)
    assert idle["all"] == idle["0"]


def test_vmstat(burning: Container, mounts: Mounts, tool: FindTool) -> None:
    """`vmstat` shows the container's memory and, in its second line, how busy its CPU was."""
    control = ControlFiles(mounts, burning.path)
    with watched(mounts, burning) as spent:
        lines = burning.tool(tool("vmstat"), "1 2").splitlines()
    first, second = (dict(zip(lines[1].split(), map(int, line.split()), strict=False)) for line in lines[2:])
    assert spent.holds(100 - second["id"], 1)
    for shown in (first, second):
        assert shown["r"] >= 1
        assert shown["swpd"] * 1024 <= LIMIT
        assert abs(shown["cache"] * 1024 - control.cache_bytes) <= SLACK_BYTES
        assert LIMIT - control.memory_bytes - SLACK_BYTES <= shown["free"] * 1024 <= LIMIT


def meters_of(screen: str) -> dict[str, str]:
    """The bars at the top of htop's screen: name and what is written in them."""
    return dict(re.findall(r"\b(\d+|CPU|Mem|Swp)\s*\[[^]\w]*([\d.]+%|[\w.]+/[\w.]+)\s*\]", screen))


def test_htop(instance: Instance, tool: FindTool, tmp_path: Path) -> None:
    """`htop` draws the container's memory, its age and tasks, and one CPU, which is busy."""
    program = [*words_of(tool("htop")), "--no-color", "--delay=10"]
    script = f"{BURN} & HTOPRC={tmp_path}/htoprc exec {shlex.join(program)}"
    words = instance.command("run", "--name", name("htop"), "--memory", "256M", "--cpus", "1", "--", "sh", "-c", script)

    def is_busy(screen: str) -> bool:
        meters = meters_of(screen)
        return "Mem" in meters and any(meters.get(key, "0.0%") != "0.0%" for key in ("CPU", "0", "1"))

    screen = screen_of(words, is_busy)
    meters = meters_of(screen)
    assert is_busy(screen), screen
    assert len(meters.keys() - {"Mem", "Swp"}) == 1, screen
    used, total = meters["Mem"].split("/")
    assert total == "256M"
    assert used[-1] == "K" or float(used.removesuffix("M")) < 64
    assert re.search(r"Tasks:\s+[2-4]\b", screen)
    assert re.search(r"Uptime:\s+00:0\d:\d\d", screen)


def test_load_rises(burning: Container) -> None:
    """With one runnable thread the load average rises towards 1: as the kernel computes it, period by period."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    loads = [0.0]
    while loads[-1] < 0.2 and time.monotonic() < deadline:
        load, *_, tasks, _ = burning.sh("cat /proc/loadavg").split()
        assert int(tasks.split("/")[0]) >= 1
        if float(load) != loads[-1]:
            loads.append(float(load))
        time.sleep(0.2)
    assert loads[-1] >= 0.2
    assert loads == sorted(loads)
    # One period: load * e^(-5/60) + 1 * (1 - e^(-5/60)); a reader caught running adds one more thread.
    assert all(after - before <= 2 * (1 - 0.92) + 0.01 for before, after in itertools.pairwise(loads[1:]))


# ------------------------------------------------------------------------------------------ age and names


def test_uptime_and_w(container: Container, burning: Container, tool: FindTool) -> None:
    """`uptime` and the first line of `w` say how old the container is, and its load."""
    for program in ("uptime", "w"):
        line = burning.tool(tool(program)).splitlines()[0]
        match = re.search(r" up +(\d+) min, .*load average: ([\d.]+), ([\d.]+), ([\d.]+)$", line)
        assert match is not None, line
        assert int(match[1]) <= 10
        assert 0 <= float(match[4]) <= float(match[3]) <= float(match[2]) <= 2
    now, age = time.time(), float(container.sh("cat /proc/uptime").split()[0])
    since = time.mktime(time.strptime(container.tool(tool("uptime"), "-s").strip(), "%Y-%m-%d %H:%M:%S"))
    assert abs(now - age - since) <= 3


def test_uptime_is_the_age_of_the_first_process(container: Container, control: ControlFiles) -> None:
    """/proc/uptime counts from the start of the container's pid 1, and says how long its CPUs were idle."""
    with open("/proc/uptime", encoding="ascii") as file:
        before = float(file.read().split()[0])
    age, idle = map(float, container.sh("cat /proc/uptime").split())
    with open("/proc/uptime", encoding="ascii") as file:
        after = float(file.read().split()[0])
    starts = [
        int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
        for pid in control.file("pids", "cgroup.procs", "cgroup.procs").read_text().split()
    ]
    started = min(starts) / os.sysconf("SC_CLK_TCK")
    assert before - started - 0.03 <= age <= after - started + 0.03
    assert 0 <= idle <= age


def test_ps(container: Container, tool: FindTool) -> None:
    """`ps` lists the container's processes, their memory as a share of its own, and when they started."""
    lines = container.tool(tool("ps"), "-eo pid,ppid,rss,pmem,lstart,comm").splitlines()[1:]
    rows = [line.split(maxsplit=9) for line in lines]
    assert rows[0][0] == "1"
    assert "ps" in {row[9] for row in rows}
    assert len(rows) < 10
    for row in rows:
        share = int(row[2]) * 1024 / LIMIT * 100
        assert abs(float(row[3]) - share) <= 0.11
        started = time.mktime(time.strptime(" ".join(row[4:9]), "%a %b %d %H:%M:%S %Y"))
        assert time.time() - 3600 < started <= time.time() + 2


def test_ps_counts_from_the_containers_start(burning: Container, mounts: Mounts, tool: FindTool) -> None:
    """Elapsed time is no more than the container's age, and a process that burns its CPU has used most of it."""
    rows = [line.split() for line in burning.tool(tool("ps"), "-eo pid,etimes,cputimes").splitlines()[1:]]
    age = float(burning.sh("cut -d' ' -f1 /proc/uptime"))
    used = ControlFiles(mounts, burning.path).cpu_seconds
    assert all(0 <= int(elapsed) <= age + 1 for _, elapsed, _ in rows)
    assert int(rows[0][1]) >= age - 2
    assert sum(int(spent) for *_, spent in rows) <= used + 1


def test_lscpu(container: Container, tool: FindTool) -> None:
    """`lscpu` counts the CPUs shown: one, online, a core of one socket with one thread."""
    rows = (line.partition(":") for line in container.tool(tool("lscpu")).splitlines())
    shown = {key.strip(): value.strip() for key, _, value in rows}
    assert shown["CPU(s)"] == "1"
    assert shown["On-line CPU(s) list"] == "0"
    for key in ("Thread(s) per core", "Core(s) per socket", "Socket(s)"):
        assert shown.get(key, "1") == "1"


def test_stat_cpuinfo_and_online_agree(container: Container) -> None:
    """Whoever counts CPUs comes to the same number, whichever file is asked."""
    assert container.sh("grep -c '^cpu[0-9]' /proc/stat") == "1"
    assert container.sh("grep -c ^processor /proc/cpuinfo") == "1"
    for file in ("online", "possible", "present"):
        assert container.sh(f"cat /sys/devices/system/cpu/{file}") == "0"


def test_limit_of_threads(container: Container) -> None:
    """The kernel's limits of threads and pids are cut to the container's."""
    assert container.sh("cat /proc/sys/kernel/threads-max") == "100"
    assert 301 <= int(container.sh("cat /proc/sys/kernel/pid_max")) <= int(Path("/proc/sys/kernel/pid_max").read_text())


PSUTIL = """
import json, os, psutil
print(json.dumps({
    "os": os.cpu_count(),
    "cpus": psutil.cpu_count(),
    "memory": psutil.virtual_memory()._asdict(),
    "swap": psutil.swap_memory()._asdict(),
    "times": sum(psutil.cpu_times()),
    "each": [sum(times) for times in psutil.cpu_times(percpu=True)],
    "boot": psutil.boot_time(),
    "load": psutil.getloadavg(),
    "pids": psutil.pids(),
    "interrupts": psutil.cpu_stats().interrupts,
    "disks": psutil.disk_io_counters(perdisk=True),
}))
"""


def test_python_and_psutil(container: Container, control: ControlFiles) -> None:
    """`os.cpu_count` and psutil see the container, and understand every file that they parse."""
    before = control.memory_bytes
    shown = json.loads(container.sh(f"{shlex.quote(sys.executable)} -W error -c {shlex.quote(PSUTIL)}"))
    assert shown["os"] == shown["cpus"] == 1
    memory = shown["memory"]
    assert memory["total"] == LIMIT
    assert LIMIT - control.memory_bytes - 32 * MIB <= memory["available"] <= LIMIT  # an interpreter's worth
    assert memory["used"] <= before + 32 * MIB
    assert 0 <= memory["percent"] <= 20
    assert shown["swap"]["used"] <= shown["swap"]["total"]
    age = float(container.sh("cat /proc/uptime").split()[0])
    assert len(shown["each"]) == 1
    assert 0 < shown["times"] <= shown["each"][0] + 0.1 <= age + 0.2  # read one after the other; 10 fields, rounded
    assert abs(time.time() - age - shown["boot"]) <= 3
    assert 1 in shown["pids"]
    assert len(shown["pids"]) < 10
    assert len(shown["load"]) == 3


# --------------------------------------------------------------------------------------------------- disks


@pytest.fixture
def disk(tmp_path: Path, tool: FindTool) -> Iterator[Path]:
    """A directory on a file system with a block device of its own: the test's folder, or a spare disk."""
    device = os.stat(tmp_path).st_dev
    if os.path.exists(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}"):
        yield tmp_path
        return
    spare = "/dev/ubda"
    if not os.path.exists(spare):
        pytest.skip(f"{tmp_path} is on no block device, and there is no spare disk {spare}")
    mkfs = tool("mkfs.ext4")
    subprocess.run([mkfs.path, "-q", "-F", spare], env=mkfs.env, check=True)
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", spare, folder], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_iostat(instance: Instance, mounts: Mounts, tool: FindTool, disk: Path) -> None:
    """What the container writes past the cache shows in `iostat`, to the kilobyte; the machine's totals do not.

    With ``-p ALL`` it reads /proc/diskstats, without it /sys/block/<device>/stat.
    """
    device = os.stat(disk).st_dev
    major, minor = os.major(device), os.minor(device)
    with running(instance, name("disk"), "--memory", "256M", "--cpus", "1") as container:
        control = ControlFiles(mounts, container.path)
        count_io(mounts, container.path, disk)
        before = control.written_bytes(major, minor)
        container.sh(f"dd if=/dev/zero of={shlex.quote(str(disk))}/block bs=1M count=8 oflag=direct,sync")
        after = control.written_bytes(major, minor)
        assert after - before >= 8 * MIB
        text = container.tool(tool("iostat"), "-k -p ALL 1 2")
        node = os.path.basename(os.path.realpath(f"/sys/dev/block/{major}:{minor}"))
        first, second = (line.split() for line in text.splitlines() if line.split()[:1] == [node])
        assert before <= (int(first[6]) + 1) * 1024 - (after - before)
        assert int(first[6]) * 1024 <= control.written_bytes(major, minor)
        assert second[6] == "0"
        assert text.count("avg-cpu") == 2
        file = os.path.realpath(f"/sys/dev/block/{major}:{minor}/stat")
        sectors = int(container.sh(f"cat {shlex.quote(file)}").split()[6])
        assert after <= sectors * 512 <= control.written_bytes(major, minor)
        plain = container.tool(tool("iostat"), "-k -d 1 2")
        disks = [line.split() for line in plain.splitlines() if line.split()[:1] == [node]]
        if os.path.isdir(f"/sys/block/{node}"):  # of partitions it shows the disk
            assert sectors // 2 <= int(disks[0][6]) <= control.written_bytes(major, minor) // 1024
            assert disks[1][6] == "0"
        assert "size" in container.sh(f"ls /sys/class/block/{node}").split()  # the rest of sysfs is there
