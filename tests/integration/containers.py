"""Real containers for tests: a private instance of the file system, `procfs-fuse run`, and plain control files.

Nothing here uses the project's readers: what tests compare with must not come from the code under test.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cgroup_model.mounts import Mounts
from scripts.debian_tools import Tool

MIB: Final = 1 << 20
COMMAND_SECONDS: Final = 120
"""A command that hangs ends after this long; no command of these tests takes a tenth of it on a busy machine."""

_MARK: Final = "--end-of-command--"
_PROGRAM: Final = (sys.executable, "-m", "procfs_fuse")
_ROOT: Final = str(Path(__file__).resolve().parents[2])


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment in which `python -m procfs_fuse` is this tree's, and programs speak English."""
    return {**os.environ, "PYTHONPATH": _ROOT, "LC_ALL": "C", **(extra or {})}


def words_of(program: Tool) -> list[str]:
    """Return the words that start a program which may have been unpacked into the cache."""
    search = [f"{key}={program.env[key]}" for key in ("PATH", "LD_LIBRARY_PATH") if key in program.env]
    return ["env", *search, program.path]


class Instance:
    """`procfs-fuse mount` with a mount point and a state directory of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.mountpoint = folder / "mount"
        self.state_dir = folder / "state"
        self.mountpoint.mkdir()
        self._call("mount", *options, str(self.mountpoint))

    @property
    def status(self) -> dict[str, object]:
        """`procfs-fuse status`."""
        status: dict[str, object] = json.loads(self._call("status", "--json"))["instances"][0]
        return status

    @property
    def pid(self) -> int:
        """Process that serves."""
        pids = self.status["worker_pids"]
        assert isinstance(pids, list)
        return int(pids[0])

    @property
    def main_pid(self) -> int:
        """Process that is told what to do by signals."""
        pid = self.status["pid"]
        assert isinstance(pid, int)
        return pid

    @property
    def cached(self) -> Path:
        """Where the cached connection shows a directory for each container."""
        return Path(str(self.status["state_dir"])) / "containers"

    @property
    def open(self) -> Path:
        """Where the open connection shows a directory for each container."""
        return self.mountpoint / "containers"

    def command(self, name: str, *words: str) -> list[str]:
        """Return the words of a command that uses this instance."""
        return [*_PROGRAM, name, "--state-dir", str(self.state_dir), *words]

    def close(self) -> None:
        """Unmount; nobody may be left that uses it."""
        self._call("umount", str(self.mountpoint))

    def _call(self, name: str, *words: str) -> str:
        done = subprocess.run(
            self.command(name, *words), env=environment(), capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@contextlib.contextmanager
def mounted(folder: Path, *options: str) -> Iterator[Instance]:
    """Give an instance, unmounted afterwards."""
    instance = Instance(folder, *options)
    try:
        yield instance
    finally:
        instance.close()


class Container:
    """`procfs-fuse run … -- sh`, which is told what to do line by line."""

    def __init__(self, instance: Instance, name: str, *options: str) -> None:
        self.path = f"/cgscope/{name}"
        self._process = subprocess.Popen(
            instance.command("run", "--name", name, *options, "--", "sh"),
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.sh("true")  # until it runs

    def sh(self, command: str) -> str:
        """Run a shell command inside to its end; return its output, errors included. It must succeed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        quoted = f"timeout {COMMAND_SECONDS} sh -c {shlex.quote(command)} </dev/null 2>&1"
        self._process.stdin.write(f"{quoted}; printf '\\n%s %d\\n' {_MARK} $?\n")
        self._process.stdin.flush()
        lines: list[str] = []
        for line in self._process.stdout:
            if line.startswith(_MARK):
                assert line.split()[1] == "0", f"{command}: {line} {''.join(lines)}"
                return "".join(lines).removesuffix("\n").removesuffix("\n")
            lines.append(line)
        raise AssertionError(f"{self.path} ended while it ran {command}: {''.join(lines)}")

    def tool(self, program: Tool, arguments: str = "") -> str:
        """Run a program found by the fixture `tool`."""
        return self.sh(f"{shlex.join(words_of(program))} {arguments}")

    def start(self, command: str, output: str = "/dev/null") -> int:
        """Leave a command running inside until `close`; return its pid there."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{command} </dev/null >{output} 2>&1 & echo $!\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> int:
        """End the shell and with it everything inside; return the exit code."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        return self._process.wait(60)


@contextlib.contextmanager
def running(instance: Instance, name: str, *options: str) -> Iterator[Container]:
    """Give a container, ended afterwards."""
    container = Container(instance, name, *options)
    try:
        yield container
    finally:
        container.close()


@dataclass(frozen=True, slots=True)
class ControlFiles:
    """The control files of one cgroup, read plainly."""

    mounts: Mounts
    path: str

    def file(self, controller: str, v1: str, v2: str) -> Path:
        """Return the file of a controller, by the name it has on this machine."""
        hierarchy = self.mounts.for_controller(controller) or self.mounts.for_controller("")
        assert hierarchy is not None
        return Path(hierarchy.directory(self.path)) / (v1 if hierarchy.version == 1 else v2)

    @property
    def memory_limit_bytes(self) -> int:
        """The cgroup's own limit."""
        return int(self.file("memory", "memory.limit_in_bytes", "memory.max").read_text())

    @property
    def memory_bytes(self) -> int:
        """Usage, cache included."""
        return int(self.file("memory", "memory.usage_in_bytes", "memory.current").read_text())

    @property
    def reclaimable_bytes(self) -> int:
        """File cache on the kernel's lists, and v2's reclaimable slab."""
        stat = self._memory_stat()
        names = ("active_file", "inactive_file", "slab_reclaimable")
        return sum(stat.get(f"total_{name}", stat.get(name, 0)) for name in names)

    @property
    def inactive_file_bytes(self) -> int:
        """File cache that was used once, and v2's reclaimable slab."""
        stat = self._memory_stat()
        names = ("inactive_file", "slab_reclaimable")
        return sum(stat.get(f"total_{name}", stat.get(name, 0)) for name in names)

    @property
    def throttled_usec(self) -> int:
        """How long the quota made it wait."""
        lines = self.file("cpu", "cpu.stat", "cpu.stat").read_text().splitlines()
        stat = {name: int(value) for name, value in map(str.split, lines)}
        return stat["throttled_usec"] if "throttled_usec" in stat else stat["throttled_time"] // 1000

    @property
    def cache_bytes(self) -> int:
        """File cache."""
        stat = self._memory_stat()
        return stat.get("total_cache", stat.get("file", 0))

    @property
    def shmem_bytes(self) -> int:
        """Shared memory and tmpfs."""
        stat = self._memory_stat()
        return stat.get("total_shmem", stat.get("shmem", 0))

    @property
    def swap_bytes(self) -> int:
        """Swap used."""
        together = self.file("memory", "memory.memsw.usage_in_bytes", "memory.swap.current")
        used = int(together.read_text())
        return used - self.memory_bytes if together.name.startswith("memory.memsw") else used

    @property
    def cpu_seconds(self) -> float:
        """CPU time used."""
        file = self.file("cpuacct", "cpuacct.usage", "cpu.stat")
        if file.name == "cpuacct.usage":
            return int(file.read_text()) / 1e9
        return int(file.read_text().split()[1]) / 1e6

    def written_bytes(self, major: int, minor: int) -> int:
        """Written to a device."""
        file = self.file("io", "blkio.throttle.io_service_bytes_recursive", "io.stat")
        device = f"{major}:{minor} "
        lines = [line for line in file.read_text().splitlines() if line.startswith(device)]
        if file.name == "io.stat":
            return sum(int(word[7:]) for line in lines for word in line.split() if word.startswith("wbytes="))
        return sum(int(line.split()[2]) for line in lines if line.split()[1] == "Write")

    def _memory_stat(self) -> dict[str, int]:
        lines = self.file("memory", "memory.stat", "memory.stat").read_text().splitlines()
        return {name: int(value) for name, value in map(str.split, lines)}
