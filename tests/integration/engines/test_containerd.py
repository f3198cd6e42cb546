"""containerd with its own client: attach, and our runtime's hook in a specification."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from scripts.debian_tools import Tool
from tests.integration.command_line import NEEDS, REASON, CommandLine, eventually
from tests.integration.engines import daemons, oci_runtime, programs, truth

pytestmark = [pytest.mark.skipif(not NEEDS, reason=REASON), truth.NATIVE]

PARENT = f"/cgscope-containerd-{os.getpid()}"


@dataclass(slots=True)
class Ctr:
    """The client."""

    program: Tool
    socket: Path

    def __call__(self, *arguments: str) -> str:
        """Run it; its output. It must succeed."""
        words = [self.program.path, "--address", str(self.socket), "--namespace", f"cgscope-{os.getpid()}", *arguments]
        return programs.said(programs.finished(words, self.program.env, self.socket.parent))

    def sh(self, name: str, command: str) -> str:
        """Output of a shell command in a container."""
        return self("task", "exec", "--exec-id", "reader", name, "sh", "-c", command)


@pytest.fixture(scope="module")
def ctr(tmp_path_factory: pytest.TempPathFactory, tool: Callable[[str], Tool]) -> Iterator[Ctr]:
    """A containerd of the module's own."""
    folder = tmp_path_factory.mktemp("containerd")
    with daemons.containerd(tool("containerd"), folder / "run") as socket:
        yield Ctr(tool("ctr"), socket)
    oci_runtime.discard(PARENT)


def test_attach(ctr: Ctr, root_file_system: Path, instance: CommandLine) -> None:
    """A container of `ctr run` is shown its limits after attach by its cgroup's path."""
    limits = truth.LIMITS
    options = ["--memory-limit", str(limits.memory_bytes), "--cpu-quota", "100000", "--cpu-period", "100000"]
    options += ["--env", "PATH=/bin:/sbin", "--cgroup", f"{PARENT}/one"]
    ctr("run", "--detach", "--rootfs", *options, str(root_file_system), "one", "sleep", "3600")
    try:
        done = instance("attach", f"{PARENT}/one")
        assert done.returncode == 0, done.stderr
        words = ctr.sh("one", "/bin/free -b").splitlines()[1].split()
        assert int(words[1]) == limits.memory_bytes
        assert ctr.sh("one", "grep -c ^processor /proc/cpuinfo").strip() == "1"
        truth.control_files(lambda command: ctr.sh("one", command), limits, f"{PARENT}/one")
    finally:
        ctr("task", "kill", "--signal", "KILL", "one")
        assert eventually(lambda: "RUNNING" not in ctr("task", "list"))
        ctr("task", "delete", "one")
        ctr("container", "delete", "one")
