"""Containers with limits and something to do: for `make stack`, for pictures, and for tests of what is made of metrics.

They are cgroups below one of our own, with names as Docker and Kubernetes give them, and files below a folder that say
what they are called: an exporter finds them with ``--path.rootfs FOLDER``. Everything is removed in the end.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cgroup_model.control import ControlError, Limits, add_process, apply, create, kill, limit_writes, remove
from cgroup_model.mounts import Mounts, discover_mounts

MIB: Final = 1 << 20
POD_UID: Final = "1dbe5e0c-6d1c-4c5e-9a57-0c8f8e7f9d11"

_SPIN: Final = "while :; do :; done"
_WRITE: Final = 'while :; do dd if=/dev/zero of="$0" bs=1M count=24 conv=fsync 2>/dev/null; sleep 1; done'
_SLEEP: Final = "for n in 1 2 3 4 5 6 7; do sleep 100000 & done; wait"
_LEAK: Final = f"while :; do {sys.executable} -c \"x = b'x' * (256 << 20)\" 2>/dev/null; sleep 4; done"
_PAUSE: Final = "exec sleep 100000"


@dataclass(frozen=True, slots=True)
class Work:
    """One container: its name, its limits, and a line for the shell; ``pod`` when it is one of Kubernetes'."""

    name: str
    image: str
    script: str
    limits: Limits = field(default_factory=Limits)
    pod: str = ""

    @property
    def id(self) -> str:
        """A container id like an engine's."""
        return hashlib.sha256(self.name.encode()).hexdigest()

    def path(self, top: str) -> str:
        """The cgroup, as the engine would call it."""
        return f"{top}/kubepods/burstable/pod{POD_UID}/{self.id}" if self.pod else f"{top}/docker/{self.id}"


WORKS: Final[Sequence[Work]] = (
    Work("web", "nginx:1.29", _SPIN, Limits(cpus=0.2, memory_bytes=64 * MIB)),
    Work("database", "postgres:18", _WRITE, Limits(memory_bytes=48 * MIB)),
    Work("workers", "workers:7", _SLEEP, Limits(pids=8)),
    Work("leak", "leak:1", _LEAK, Limits(memory_bytes=24 * MIB)),
    Work("shop", "shop:2", _PAUSE, Limits(memory_bytes=32 * MIB, pids=64), pod="shop-0"),
)
"""One is throttled, one writes, one is at its limit of threads, one is killed again and again, one is a pod's."""


@contextmanager
def busy(top: str, folder: Path, works: Sequence[Work] = WORKS) -> Iterator[Mapping[str, str]]:
    """Run containers below the cgroup ``top``; gives name -> path of the cgroup. Needs root."""
    mounts = discover_mounts()
    running: list[subprocess.Popen[bytes]] = []
    try:
        for work in works:
            running.append(start(mounts, top, folder, work))  # noqa: PERF401 - those before one that fails end, too
        yield {work.name: work.path(top) for work in works}
    finally:
        kill(mounts, top)
        for process in running:
            process.wait()
        remove(mounts, top)


def start(mounts: Mounts, top: str, folder: Path, work: Work) -> subprocess.Popen[bytes]:
    """Start one container; its process begins to work when it is inside."""
    describe(folder, work)
    path = work.path(top)
    create(mounts, path)
    apply(mounts, path, work.limits)
    count_io(mounts, path, folder)
    command = ["sh", "-c", 'read -r _ && exec sh -c "$1" "$0"', str(folder / f"{work.id}.data"), work.script]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    add_process(mounts, path, process.pid)
    assert process.stdin is not None  # noqa: S101 - it is a pipe
    process.stdin.write(b"\n")
    process.stdin.close()
    return process


def count_io(mounts: Mounts, path: str, folder: Path) -> None:
    """Have the I/O of a folder's disk counted.

    Linux 6.10 and newer do so with cgroup v1 from the first limit of the disk, here of a terabyte per second.
    """
    io = mounts.for_controller("io")
    if io is not None and io.version == 1:
        disk = os.stat(folder).st_dev
        with suppress(ControlError):  # no disk: tmpfs, overlay
            limit_writes(mounts, path, (os.major(disk), os.minor(disk)), 1 << 40)


def describe(folder: Path, work: Work) -> None:
    """Write the files in which an engine says what a container is called."""
    if work.pod:
        logs = folder / "var/log"
        (logs / "containers").mkdir(parents=True, exist_ok=True)
        (logs / "containers" / f"{work.pod}_prod_{work.name}-{work.id}.log").touch()
        (logs / "pods" / f"prod_{work.pod}_{POD_UID}").mkdir(parents=True, exist_ok=True)
        return
    home = folder / "var/lib/docker/containers" / work.id
    home.mkdir(parents=True, exist_ok=True)
    config = {"Name": f"/{work.name}", "Config": {"Image": work.image, "Labels": {"owner": "team-a"}}}
    (home / "config.v2.json").write_text(json.dumps(config), encoding="utf-8")
