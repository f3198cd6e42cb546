"""Options of `procfs-fuse mount` on real mounts: chosen files, policies, the pid file, passing through."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cgroup_model.mounts import discover_mounts
from procfs_fuse.transport import mounting
from tests.integration.command_line import ANY_WORLD, NEEDS, REASON, eventually
from tests.integration.containers import Container, ControlFiles, Instance, environment, mounted, running

pytestmark = pytest.mark.skipif(not NEEDS, reason=REASON)

# Reads three files over and over, each in small pieces: whatever one open file says must be of one kind.
_READER = """
import os, sys
kinds = {"container": 0, "machine": 0}
until = sys.argv[1]
while not os.path.exists(until):
    for path in ("/proc/meminfo", "/proc/cpuinfo", "/proc/stat"):
        fd = os.open(path, os.O_RDONLY)
        data = b""
        while part := os.read(fd, 700):
            data += part
        again = os.pread(fd, 1 << 20, 0)
        os.close(fd)
        assert data.endswith(b"\\n") and b"\\0" not in data, (path, data)
        if path == "/proc/meminfo":
            names = [line.split(b":")[0] for line in data.splitlines()]
            assert names == [line.split(b":")[0] for line in again.splitlines()] and names[0] == b"MemTotal", data
            if len(data) == len(again): kinds["container" if b" 262144 kB" in data[:80] else "machine"] += 1
        elif path == "/proc/cpuinfo":
            assert data.count(b"processor\\t") == again.count(b"processor\\t"), (data, again)
        else:
            assert data.count(b"\\ncpu") == again.count(b"\\ncpu"), (data, again)
print(kinds["container"], kinds["machine"])
"""


def test_policies_reach_the_files(tmp_path: Path) -> None:
    """--disable-swap, --pid-max=host and --cpu-view=cpuset, the last two from a file; status tells them."""
    settings = tmp_path / "settings.yaml"
    settings.write_text("pid-max: host\ncpu-view: cpuset\n")
    with (
        mounted(tmp_path, "--disable-swap", "--config", str(settings)) as instance,
        running(instance, "cgscope-test-policy", "--cpus", "1", "--pids", "50", "--memory", "256M") as container,
    ):
        policy = instance.status["policy"]
        assert isinstance(policy, dict)
        assert (policy["disable_swap"], policy["pid_max"], policy["cpu_view"]) == (True, "host", "cpuset")
        assert container.sh("cat /proc/sys/kernel/pid_max") == Path("/proc/sys/kernel/pid_max").read_text().strip()
        assert container.sh("grep ^Swap /proc/meminfo | tr -s ' '").splitlines()[1] == "SwapTotal: 0 kB"
        assert int(container.sh("grep -c ^processor /proc/cpuinfo")) == os.sysconf("SC_NPROCESSORS_ONLN")


_CACHE = """
with open("{0}", "wb") as file: file.write(bytes(24 << 20))
for _ in range(3):
    with open("{0}", "rb") as file: file.read()
"""


def test_available_without_the_working_set(tmp_path: Path) -> None:
    """--available=working-set: file cache that was read again counts as used; the control files say how much it is."""
    file = tmp_path / "cache"
    with (
        mounted(tmp_path, "--available", "working-set", "--disable-zswap", "--ttl", "0") as instance,
        running(instance, "cgscope-test-available", "--memory", "128M") as container,
    ):
        container.sh(f"{sys.executable} -c {shlex.quote(_CACHE.format(file))}")
        control = ControlFiles(discover_mounts(), container.path)
        shown = "awk '/^Mem(Total|Available)|^Active.file|^Zswap/ {print $2}' /proc/meminfo"

        def agrees() -> bool:
            """Tell whether the line is what the control files said before and after."""
            before = control.memory_limit_bytes - control.memory_bytes + control.inactive_file_bytes
            total, available, active, *zswap = map(int, container.sh(shown).split())
            after = control.memory_limit_bytes - control.memory_bytes + control.inactive_file_bytes
            low, high = sorted((before >> 10, after >> 10))
            assert (total, set(zswap) | {0}) == (128 << 10, {0})
            return active > 0 and low - 1024 <= available <= high + 1024

        assert eventually(agrees)


def test_waiting_for_quota_as_steal(tmp_path: Path) -> None:
    """--throttled-as-steal: the container's steal time is what its quota made it wait, to the tick; else it is 0."""
    for options, share in ((("--throttled-as-steal",), 1), ((), 0)):
        folder = tmp_path / str(share)
        folder.mkdir()
        with (
            mounted(folder, *options) as instance,
            running(instance, f"cgscope-test-steal-{share}", "--cpus", "0.1") as container,
        ):
            container.sh("head -1 /proc/stat; for i in $(seq 20000); do :; done")
            control = ControlFiles(discover_mounts(), container.path)

            def agrees(control: ControlFiles = control, container: Container = container, share: int = share) -> bool:
                before = control.throttled_usec
                steal = int(container.sh("head -1 /proc/stat").split()[8])
                after = control.throttled_usec
                return before > 0 and share * (before // 10_000 - 1) <= steal <= share * (after // 10_000 + 1)

            assert eventually(agrees)


def test_files_that_were_not_chosen_are_not_bound(tmp_path: Path) -> None:
    """Neither a file nor a folder: the container has the machine's there."""
    with (
        mounted(tmp_path, "--no-files", "proc/cpuinfo,sys/devices/system/cpu") as instance,
        running(instance, "cgscope-test-files", "--cpus", "1", "--memory", "256M") as container,
    ):
        assert int(container.sh("grep -c ^processor /proc/cpuinfo")) == os.sysconf("SC_NPROCESSORS_ONLN")
        assert container.sh("cat /sys/devices/system/cpu/possible") == (
            Path("/sys/devices/system/cpu/possible").read_text().strip()
        )
        assert container.sh("head -1 /proc/meminfo").split()[1] == "262144"


@ANY_WORLD
def test_a_mistake_in_the_configuration_mounts_nothing(tmp_path: Path) -> None:
    """One line with file, line and column; exit code 2."""
    place = tmp_path / "mount"
    place.mkdir()
    settings = tmp_path / "settings.yaml"
    settings.write_text("ttl: 5\nfiles: proc/nothing\n")
    words = [sys.executable, "-m", "procfs_fuse", "mount", "--config", str(settings), "--state-dir", str(tmp_path)]
    done = subprocess.run([*words, str(place)], env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "proc/nothing" in done.stderr
    settings.write_text("ttl: five\n")
    done = subprocess.run([*words, str(place)], env=environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "settings.yaml:1:6" in done.stderr
    assert not any(str(mount.mountpoint).startswith(str(tmp_path)) for mount in mounting.mounts())


@ANY_WORLD
def test_the_pid_file_is_there_while_serving(tmp_path: Path) -> None:
    """It names the server, and is gone with it."""
    pidfile = tmp_path / "pid"
    with mounted(tmp_path, "--pidfile", str(pidfile)) as instance:
        assert int(pidfile.read_text()) == instance.main_pid
    assert eventually(lambda: not pidfile.exists())


def _switch(instance: Instance, word: str) -> None:
    done = subprocess.run(instance.command("passthrough", word), env=environment(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_passing_through_and_back(tmp_path: Path) -> None:
    """The machine's values while it is on, the container's afterwards; SIGUSR2 does the same."""
    with (
        mounted(tmp_path, "--ttl", "0") as instance,
        running(instance, "cgscope-test-pass", "--cpus", "1", "--memory", "256M") as container,
    ):
        cpus = "grep -c ^processor /proc/cpuinfo"
        total = "head -1 /proc/meminfo | tr -dc 0-9"
        machine = Path("/proc/meminfo").read_text().split()[1]
        container.sh("true")
        _switch(instance, "on")
        assert instance.status["passthrough"] is True
        assert (int(container.sh(cpus)), container.sh(total)) == (os.sysconf("SC_NPROCESSORS_ONLN"), machine)
        os.kill(instance.main_pid, signal.SIGUSR2)
        assert eventually(lambda: instance.status["passthrough"] is False)
        assert (int(container.sh(cpus)), container.sh(total)) == (1, "262144")


@ANY_WORLD
def test_switching_under_eight_readers(tmp_path: Path) -> None:
    """No error, no mixture: every open file gives whole content of one kind, both kinds were seen."""
    reader, until = tmp_path / "reader.py", tmp_path / "until"
    reader.write_text(_READER)
    with (
        mounted(tmp_path) as instance,
        running(instance, "cgscope-test-switch", "--cpus", "1", "--memory", "256M") as container,
    ):
        outputs = [tmp_path / f"output-{number}" for number in range(8)]
        for output in outputs:
            output.touch()
            container.start(f"{sys.executable} {reader} {until}", str(output))
        for _ in range(10):
            _switch(instance, "on")
            _switch(instance, "off")
        until.touch()
        assert eventually(lambda: all(output.read_text().endswith("\n") for output in outputs))
        assert [output.read_text() for output in outputs if "Traceback" in output.read_text()] == []
        counts = [tuple(map(int, output.read_text().split())) for output in outputs]
        assert sum(own for own, _ in counts) > 0
        assert sum(machine for _, machine in counts) > 0
        assert instance.status["errors"] == {}
