"""Running the real ``procfs-fuse``, each test with state of its own, and looking for what it left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cgroup_model.mounts import Mounts, discover_mounts
from procfs_fuse.transport import mounting

REPOSITORY = Path(__file__).parents[2]
PATIENCE_SECONDS = 120  # only a failure takes so long, even on a busy machine that is simulated
NEEDS = os.geteuid() == 0 and os.path.exists(mounting.DEVICE)
REASON = "mounting needs root and /dev/fuse"
ANY_WORLD = pytest.mark.skipif(
    bool(os.environ.get("CGSCOPE_WORLD")),
    reason="what every world has alike is tested beside the native suite",
)


def _default_signals() -> None:
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def program(module: str, *options: str) -> list[str]:
    """The command line of a program of ours."""
    return [sys.executable, "-P", "-m", module, *options]


class CommandLine:
    """The command with a state directory that no other test uses."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = str(state_dir)
        self.environment = {
            **os.environ,
            "CGSCOPE_STATE_DIR": self.state_dir,
            "PYTHONPATH": str(REPOSITORY),
            "LC_ALL": "C",
            "TERM": "xterm",
        }
        self.environment.pop("CGSCOPE_DEBUG", None)
        self._started: list[subprocess.Popen[str]] = []

    def words(self, *arguments: str) -> list[str]:
        """The whole command line."""
        return program("procfs_fuse", *arguments)

    def __call__(self, *arguments: str, given: str | None = None, **options: Any) -> subprocess.CompletedProcess[str]:  # noqa: ANN401
        """Run the command to its end, with ``given`` as its standard input."""
        return subprocess.run(
            self.words(*arguments),
            input=given,
            stdin=None if given is not None else subprocess.DEVNULL,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
            **options,
        )

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:  # noqa: ANN401
        """Start the command; its output is a pipe, and it is ended by signals that we may ignore (nohup)."""
        words = self.words(*arguments)
        process = subprocess.Popen(
            words,
            env=self.environment,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=_default_signals,  # noqa: PLW1509 - no threads here
            **options,
        )
        self._started.append(process)
        return process

    def close(self) -> None:
        """Stop what a failed test left running."""
        for process in self._started:
            process.terminate()
            process.communicate(timeout=PATIENCE_SECONDS)
        for instance in self.status():
            ended = self("umount", "--timeout", "0", instance["mountpoint"])
            assert ended.returncode == 0, ended.stderr

    def status(self) -> list[dict[str, Any]]:
        """What ``status --json`` tells of all instances."""
        instances: list[dict[str, Any]] = json.loads(self("status", "--json").stdout)["instances"]
        return instances

    def kill_all(self, instance: dict[str, Any]) -> None:
        """Kill everybody who holds an instance up, as if the machine ran out of memory."""
        for pid in (instance["keeper_pid"], instance["nursery_pid"], *instance["worker_pids"]):
            os.kill(pid, signal.SIGSTOP)  # nobody may notice that another one is gone
        for pid in (instance["keeper_pid"], instance["nursery_pid"], *instance["worker_pids"]):
            os.kill(pid, signal.SIGKILL)

    def own_mounts(self) -> list[str]:
        """Our file systems below the state directory."""
        places = (mount.mountpoint for mount in mounting.mounts() if mount.is_ours)
        return [place for place in places if place.startswith(self.state_dir)]

    def clean(self) -> bool:
        """Whether no container, no mount and no server of this state directory is left."""
        runs = os.path.join(self.state_dir, "runs")
        return not (os.path.isdir(runs) and os.listdir(runs)) and not self.own_mounts() and not self.status()


def cgroups_of(container: str, mounts: Mounts | None = None) -> list[str]:
    """Directories of a container of ours in all hierarchies."""
    hierarchies = (mounts or discover_mounts()).hierarchies
    places = (one.directory(f"/cgscope/{container}") for one in hierarchies)
    return [place for place in places if os.path.exists(place)]


def eventually(condition: Callable[[], object]) -> bool:
    """Wait until something holds; False when patience is over, which only a failure reaches."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] != b"Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
