"""An agent of a test's own, and whether this kernel can have one."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cgscope.errors import Failure
from procfs_fuse.control_socket import ask
from procfs_fuse.seccomp import filter as seccomp
from procfs_fuse.seccomp.abi import SYSINFO
from tests.integration.command_line import PATIENCE_SECONDS, CommandLine, eventually


def need_listeners() -> None:
    """Skip where the kernel does not tell of system calls."""
    pid = os.fork()
    if pid == 0:
        try:
            seccomp.install([SYSINFO])
            os._exit(0)
        except seccomp.NotPossible:
            os._exit(1)
    if os.waitpid(pid, 0)[1]:
        pytest.skip("this kernel has no seccomp notifications")


class Agent:
    """`procfs-fuse seccomp-agent` on a socket of its own."""

    def __init__(self, command: CommandLine, folder: Path, *options: str, name: str = "agent.sock") -> None:
        self.socket = str(folder / name)
        self.process = command.start("seccomp-agent", "--socket", self.socket, *options, stderr=subprocess.DEVNULL)
        assert eventually(self._answers)

    def _answers(self) -> bool:
        try:
            return bool(self.status["pid"] == self.process.pid)  # another's socket may still be there
        except Failure:
            return False

    @property
    def status(self) -> dict[str, Any]:
        """What it tells about itself."""
        status: dict[str, Any] = ask(self.socket, "status", timeout_seconds=PATIENCE_SECONDS)
        return status

    def worker(self, *others: int) -> int:
        """Process id of its worker, when that serves and is none of ``others``."""
        assert eventually(lambda: self.status["worker"] not in (None, *others))
        worker: int = self.status["worker"]
        return worker

    def gets_on(self) -> None:
        """Wait until it has answered once more."""
        before = self.status["answered"]
        assert eventually(lambda: self.status["answered"] > before)

    def close(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(PATIENCE_SECONDS)
