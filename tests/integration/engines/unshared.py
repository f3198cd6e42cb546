"""A container without an engine: `unshare` in a cgroup with limits, and programs run inside of it with `nsenter`."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from cgroup_model.control import Limits, add_process, apply, create, remove
from cgroup_model.mounts import discover_mounts
from tests.integration.command_line import eventually

SECONDS = 120
_NEW_NAMESPACES = ("--pid", "--fork", "--kill-child", "--mount", "--mount-proc", "--propagation")


class Unshared:
    """A process in new pid and mount namespaces, in a cgroup of its own."""

    def __init__(self, name: str, limits: Limits, *options: str, propagation: str = "private") -> None:
        self.path = f"/cgscope-{name}-{os.getpid()}"
        self._mounts = discover_mounts()
        create(self._mounts, self.path)
        apply(self._mounts, self.path, limits)
        unshare = ["unshare", *_NEW_NAMESPACES, propagation, *options, "sleep", "3600"]
        self._process = subprocess.Popen(unshare)
        assert eventually(lambda: self._child() is not None)
        child = self._child()
        assert child is not None
        self.pid = child
        add_process(self._mounts, self.path, child)  # not its parent, whose number is the host's

    def _child(self) -> int | None:
        """The process inside, once it is what it is to be."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        for pid in children:
            with contextlib.suppress(OSError):
                if Path(f"/proc/{pid}/comm").read_text() == "sleep\n":
                    return int(pid)
        return None

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command inside, to its end."""
        enter = ["nsenter", "-t", str(self.pid), "-m", "-p", "-r", "-w", "--", *command]
        return subprocess.run(enter, capture_output=True, text=True, timeout=SECONDS, check=False)

    def sh(self, command: str) -> str:
        """Output of a shell command inside, which must succeed."""
        done = self.run("sh", "-c", command)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def mountpoints(self, source: str) -> list[str]:
        """Where mounts of this source are inside, in the order in which they were made."""
        lines = Path(f"/proc/{self.pid}/mountinfo").read_text().splitlines()
        return [line.split()[4] for line in lines if line.rpartition(" - ")[2].split()[1] == source]

    @property
    def namespace(self) -> str:
        """Name of its mount namespace."""
        return os.readlink(f"/proc/{self.pid}/ns/mnt")

    def end(self) -> None:
        """Kill what is inside."""
        self._process.kill()
        self._process.wait(SECONDS)

    def close(self) -> None:
        """Kill, and remove the cgroup."""
        self.end()
        remove(self._mounts, self.path)


@contextlib.contextmanager
def unshared(name: str, *options: str, propagation: str = "private") -> Iterator[Unshared]:
    """Give such a container with 128 MiB."""
    container = Unshared(name, Limits(memory_bytes=128 << 20, pids=50), *options, propagation=propagation)
    try:
        yield container
    finally:
        container.close()
