"""The runner for guests, with real guests: each test boots one or more (about a second each)."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from scripts.debian_tools import Tool
from tests.integration.containers import words_of

ROOT = Path(__file__).resolve().parents[2]
RUN = [sys.executable, str(ROOT / "tests" / "guest" / "run.py")]
V1_CONTROLLERS = {"cpuset", "cpu", "cpuacct", "blkio", "memory", "devices", "freezer", "pids"}
V2_CONTROLLERS = {"cpuset", "cpu", "io", "memory", "pids"}
FUSE_MOUNT = """
import ctypes, os, struct
device = os.open("/dev/fuse", os.O_RDWR)
os.makedirs("/run/mounted")
options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
assert ctypes.CDLL(None).mount(b"test", b"/run/mounted", b"fuse", 0, options) == 0
request = os.read(device, 1 << 17)
print(struct.unpack_from("=II", request))
"""

Runner = Callable[..., subprocess.CompletedProcess[bytes]]

pytestmark = pytest.mark.timeout(3600)  # the first one may wait for a kernel that another part of the suite builds


@pytest.fixture(scope="module", autouse=True)
def kernel() -> None:
    """Make sure that there is a kernel; skip where none can be had, except in continuous integration."""
    if "CGSCOPE_WORLD" in os.environ:
        pytest.skip("a guest inside a guest")
    prepared = subprocess.run([*RUN, "--prepare"], stderr=subprocess.PIPE, check=False, text=True)
    if prepared.returncode and os.environ.get("CI") != "true":
        pytest.skip(prepared.stderr.strip())
    assert prepared.returncode == 0, prepared.stderr


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return an environment whose temporary files are all in a folder of this test."""
    (tmp_path / "temporary").mkdir()
    return {**os.environ, "TMPDIR": str(tmp_path / "temporary")}


@pytest.fixture
def guest(environment: Mapping[str, str], tmp_path: Path) -> Runner:
    """Return a function that runs a shell script in a guest; nothing of the guest may be left afterwards."""

    def run(script: str, *options: str) -> subprocess.CompletedProcess[bytes]:
        command = [*RUN, "--timeout", "60", *options, "--", "sh", "-c", script]
        result = subprocess.run(command, env=environment, capture_output=True, check=False)
        assert_nothing_left(tmp_path)
        return result

    return run


def assert_nothing_left(folder: Path) -> None:
    """Fail when a temporary file or a process of a guest of this test exists."""
    assert list((folder / "temporary").iterdir()) == []
    assert processes_about(folder) == []


def processes_about(folder: Path) -> list[int]:
    """Return the processes with ``folder`` in their command line, as the guest's kernel and its helpers have."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            if os.fsencode(folder) in (directory / "cmdline").read_bytes():
                found.append(int(directory.name))
        except OSError:  # ended meanwhile
            continue
    return found


def mounted(listing: bytes) -> dict[str, str]:
    """Return mount point -> type of a listing in the format of /proc/mounts."""
    return {line.split()[1]: line.split()[2] for line in listing.decode().splitlines()}


def test_streams_and_exit_code_come_back(guest: Runner) -> None:
    """The command's two streams arrive apart and byte for byte, and its exit code is the runner's."""
    result = guest(r"printf 'out\n\r\n\001\377'; printf 'err\n' >&2; exit 7")
    assert (result.returncode, result.stdout, result.stderr) == (7, b"out\n\r\n\x01\xff", b"err\n")


def test_much_output_is_complete(guest: Runner) -> None:
    """Nothing of an output that is larger than every pipe on its way gets lost."""
    assert guest("seq 1 300000").stdout == "".join(f"{number}\n" for number in range(1, 300001)).encode()


def test_signal_is_reported_as_by_a_shell(guest: Runner) -> None:
    """A command that dies of signal N has the exit code 128 + N, and nobody adds words of his own."""
    result = guest("kill -9 $$")
    assert (result.returncode, result.stderr) == (128 + signal.SIGKILL, b"")


def test_command_sees_directory_environment_and_world(guest: Runner) -> None:
    """The command runs in the caller's directory and environment, plus CGSCOPE_WORLD."""
    result = guest('pwd; echo "$TMPDIR"; echo "$CGSCOPE_WORLD"', "--cgroup", "hybrid")
    directory, temporary, world = result.stdout.decode().splitlines()
    assert Path(directory) == Path.cwd()
    assert temporary.endswith("/temporary")
    assert world == "hybrid"


def test_v2_world_hands_on_every_controller(guest: Runner) -> None:
    """In the v2 world there is one cgroup mount, and children of the root have every controller of the kernel."""
    script = "cat /proc/mounts; cd /sys/fs/cgroup; mkdir new; cat cgroup.controllers new/cgroup.controllers"
    *mounts, root, child = guest(script).stdout.splitlines()
    cgroups = {kind for kind in mounted(b"\n".join(mounts)).values() if kind.startswith("cgroup")}
    assert cgroups == {"cgroup2"}
    assert root == child
    assert set(child.decode().split()) >= V2_CONTROLLERS


@pytest.mark.parametrize("world", ["v1", "hybrid"])
def test_v1_worlds_have_one_mount_for_each_controller(guest: Runner, world: str) -> None:
    """v1 and hybrid mount each controller by itself; hybrid has an additional v2 hierarchy without controllers."""
    result = guest("cat /proc/mounts", "--cgroup", world)
    mounts = {point: kind for point, kind in mounted(result.stdout).items() if kind.startswith("cgroup")}
    v1 = {os.path.basename(point) for point, kind in mounts.items() if kind == "cgroup"}
    v2 = {point for point, kind in mounts.items() if kind == "cgroup2"}
    assert v1 >= V1_CONTROLLERS | {"systemd"}
    assert v2 == ({"/sys/fs/cgroup/unified"} if world == "hybrid" else set())
    assert guest("cat /sys/fs/cgroup/unified/cgroup.controllers", "--cgroup", world).stdout.strip() == b""


def test_limits_are_enforced(guest: Runner) -> None:
    """The kernel of the v2 world ends a process that goes above memory.max, and counts it."""
    script = """
        mkdir /sys/fs/cgroup/limited; cd /sys/fs/cgroup/limited; echo 16M > memory.max
        sh -c 'echo 0 > cgroup.procs; exec tail /dev/zero'; grep oom_kill memory.events"""
    assert b"oom_kill 1\n" in guest(script).stdout


def test_only_writable_directories_reach_the_host(guest: Runner, tmp_path: Path) -> None:
    """What is written below --rw stays, whatever the directory's name; every other change vanishes."""
    kept = tmp_path / "a 'kept' ü $directory"
    kept.mkdir()
    lost = tmp_path / "lost"
    lost.mkdir()
    assert guest(f'cd "{tmp_path}"; for d in a* lost; do echo hi > "$d/file"; done', "--rw", str(kept)).returncode == 0
    assert (kept / "file").read_text() == "hi\n"
    assert list(lost.iterdir()) == []


def test_swap_disk_memory_and_cpus(guest: Runner) -> None:
    """The guest has the swap, the disk, the memory and the CPUs that were asked for."""
    script = "tail -n +2 /proc/swaps; blockdev --getsize64 /dev/ubda; nproc; grep MemTotal /proc/meminfo"
    options = ("--swap", "64M", "--disk", "32M", "--mem", "512M", "--cpus", "2", "--spread")
    swap, disk, cpus, memory = guest(script, *options).stdout.decode().splitlines()
    assert swap.split()[:3] == ["/dev/zram0", "partition", str((64 << 10) - 4)]  # KiB; a page is the header
    assert int(disk) == 32 << 20
    assert int(cpus) == 2
    assert 400 << 10 < int(memory.split()[1]) < 512 << 10


def test_procps_understands_this_machine(guest: Runner, tool: Callable[[str], Tool]) -> None:
    """The kernel's files are complete enough for libproc2, which reads the boot time for `ps` and counts all CPUs."""
    ps = shlex.join(words_of(tool("ps")))
    result = guest(f"{ps} -p 1 -o lstart=; grep -c ^processor /proc/cpuinfo; grep -c ^$ /proc/cpuinfo", "--cpus", "2")
    started, *counts = result.stdout.decode().splitlines()
    assert len(started.split()) == 5, result
    assert counts == ["2", "2"]


def test_disk_io_is_accounted(guest: Runner) -> None:
    """I/O on the scratch disk is accounted to the cgroup that causes it (the host's files are not)."""
    script = """
        mkdir /sys/fs/cgroup/writer; echo 0 > /sys/fs/cgroup/writer/cgroup.procs
        dd if=/dev/zero of=/dev/ubda bs=64K count=16 oflag=direct; cat /sys/fs/cgroup/writer/io.stat"""
    assert b"wbytes=1048576 " in guest(script, "--disk", "8M").stdout


def test_timeout_ends_in_124(guest: Runner) -> None:
    """A guest that runs out of time is ended; what it said before has arrived."""
    result = guest("echo before; sleep 600", "--timeout", "3")
    assert (result.returncode, result.stdout) == (124, b"before\n")


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_stopped_runner_takes_the_guest_along(
    environment: Mapping[str, str], tmp_path: Path, number: signal.Signals, exit_code: int
) -> None:
    """A runner that is told to stop leaves neither processes nor files."""
    with start_and_wait_for_output(environment) as runner:
        runner.send_signal(number)
        assert runner.wait() == exit_code
    assert_nothing_left(tmp_path)


def test_killed_runner_takes_the_guest_along(environment: Mapping[str, str], tmp_path: Path) -> None:
    """Even a runner that cannot clean up does not leave a running guest behind."""
    with start_and_wait_for_output(environment) as runner:
        assert processes_about(tmp_path)
        runner.kill()
    for _ in range(500):
        if not processes_about(tmp_path):
            return
        time.sleep(0.02)
    pytest.fail("the guest outlives its runner")


def start_and_wait_for_output(environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a guest that runs for minutes; return its runner when the command runs."""
    command = [*RUN, "--timeout", "120", "--", "sh", "-c", "echo ready; sleep 600"]
    runner = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - ignored in background jobs
    )
    assert runner.stdout is not None
    assert runner.stdout.readline() == b"ready\n"
    return runner


def test_several_guests_at_once(environment: Mapping[str, str], tmp_path: Path) -> None:
    """Guests that run at the same time do not see one another."""
    command = [*RUN, "--timeout", "120", "--cgroup"]
    script = "hostname $CGSCOPE_WORLD; hostname; ls /sys/fs/cgroup | grep -c unified"
    runners = {
        world: subprocess.Popen([*command, world, "--", "sh", "-c", script], env=environment, stdout=subprocess.PIPE)
        for world in ("v2", "v1", "hybrid")
    }
    outputs = {world: runner.communicate()[0].decode().split() for world, runner in runners.items()}
    assert outputs == {"v2": ["v2", "0"], "v1": ["v1", "0"], "hybrid": ["hybrid", "1"]}
    assert_nothing_left(tmp_path)


def test_fuse_works_for_this_interpreter(environment: Mapping[str, str]) -> None:
    """The interpreter of these tests runs in the guest and can mount a file system on /dev/fuse: INIT (26) arrives."""
    command = [*RUN, "--timeout", "60", "--", sys.executable, "-c", FUSE_MOUNT]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    length, opcode = result.stdout.strip("()\n").split(", ")
    assert int(opcode) == 26
    assert int(length) >= 40


def test_pytest_runs_in_the_guest(guest: Runner, tmp_path: Path) -> None:
    """A suite runs in the guest as it does outside, and its report reaches the host."""
    (tmp_path / "test_world.py").write_text("import os\ndef test_world(): assert os.environ['CGSCOPE_WORLD'] == 'v1'\n")
    options = f"-p no:cacheprovider --junitxml={tmp_path}/reports/report.xml"
    (tmp_path / "reports").mkdir()
    script = f"{sys.executable} -m pytest {options} {tmp_path}/test_world.py"
    result = guest(script, "--cgroup", "v1", "--rw", str(tmp_path / "reports"))
    assert result.returncode == 0, result.stdout
    assert 'tests="1"' in (tmp_path / "reports" / "report.xml").read_text()


def test_verbose_prints_the_times(guest: Runner) -> None:
    """With -v the last line of standard error says how long booting and everything took."""
    last = guest("echo noise >&2", "-v").stderr.decode().splitlines()[-1]
    words = last.split()
    assert words[:2] == ["guest:", "boot"]
    assert 0 < float(words[2]) <= float(words[5])


@pytest.mark.parametrize(
    ("options", "exit_code", "message"),
    [
        (["--swap", "lots"], 2, "'lots': not a size"),
        (["--disk", "0"], 2, "'0': not a size"),
        (["--timeout", "0"], 2, "not a number of seconds above 0"),
        (["--timeout", "nan"], 2, "not a number of seconds above 0"),
        (["--rw", "/nowhere/at/all"], 2, "not a directory"),
        (["--cpus", "0"], 2, "invalid choice"),
    ],
)
def test_wrong_options_are_refused(
    environment: Mapping[str, str], options: Sequence[str], exit_code: int, message: str
) -> None:
    """An option that makes no sense is refused before anything starts, and the message names it."""
    result = subprocess.run(
        [*RUN, *options, "--", "true"], env=environment, capture_output=True, text=True, check=False
    )
    assert (result.returncode, message in result.stderr) == (exit_code, True)


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        ("/nowhere/linux", "no such file"),
        (str(RUN[1]), "not executable"),
        ("/bin/false", "the guest died"),
    ],
)
def test_unusable_kernel_is_one_line(environment: Mapping[str, str], tmp_path: Path, kernel: str, message: str) -> None:
    """A kernel that cannot run ends in 125 and one line that says why."""
    options = {**environment, "CGSCOPE_UML": kernel}
    result = subprocess.run([*RUN, "--", "true"], env=options, capture_output=True, text=True, check=False)
    assert result.returncode == 125
    assert message in result.stderr
    assert result.stderr.startswith("guest: ")
    assert result.stderr.count("\n") == 1
    assert_nothing_left(tmp_path)
