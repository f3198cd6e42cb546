"""Many containers: cgroups by the hundred, with a process in each, without an engine."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import resource
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import PIPE
from typing import IO, cast

from cgroup_model.control import add_process, create, kill, remove
from cgroup_model.mounts import discover_mounts

_WORKER = """
while read -r turn; do
    i=0; while [ $i -lt 500 ]; do i=$((i + 1)); done
    kept=$kept$turn$turn
    echo
done
"""


@dataclass(slots=True)
class Crowd:
    """Cgroups that grow in number and are removed together."""

    top: str = field(default_factory=lambda: f"/cgscope-bench-{os.getpid()}")
    paths: list[str] = field(default_factory=list)
    members: list[subprocess.Popen[bytes]] = field(default_factory=list)
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def grow_to(self, number: int, *, sleeping: bool = False) -> None:
        """Make more, named as Docker does, each with a process that sleeps if so wanted."""
        mounts = discover_mounts()
        for one in range(len(self.paths), number):
            path = f"{self.top}/docker/{hashlib.sha256(str(one).encode()).hexdigest()}"
            create(mounts, path)
            self.paths.append(path)
            if sleeping:
                self.members.append(subprocess.Popen(["sleep", "1000000"]))
                add_process(mounts, path, self.members[-1].pid)

    def employ(self, every: int) -> None:
        """Start a process that works when told in every so many of them."""
        mounts = discover_mounts()
        for path in self.paths[len(self.workers) * every :: every]:
            worker = subprocess.Popen(["sh", "-c", _WORKER], bufsize=0, stdin=PIPE, stdout=PIPE)
            add_process(mounts, path, worker.pid)
            self.workers.append(worker)

    def work(self) -> None:
        """Have all workers spend some CPU time and take some memory, and wait until they have."""
        for worker in self.workers:
            cast("IO[bytes]", worker.stdin).write(b"x" * 2000 + b"\n")
        for worker in self.workers:
            cast("IO[bytes]", worker.stdout).read(1)

    def close(self) -> None:
        """Remove all."""
        if not self.paths:
            return
        mounts = discover_mounts()
        for member in (*self.members, *self.workers):
            member.kill()
            member.communicate()
        kill(mounts, self.top)
        remove(mounts, self.top, 60.0)


def tell_docker(paths: Iterable[str], root: str) -> None:
    """Write what Docker would have written of these containers, below another root than the machine's.

    Containers that no engine knows are looked up again and again, in all engines' files, which none in earnest is.
    """
    for number, path in enumerate(paths):
        folder = Path(root) / "var/lib/docker/containers" / path.rpartition("/")[2]
        folder.mkdir(parents=True, exist_ok=True)
        said = {"Name": f"/web-{number}", "Config": {"Image": "registry.example/web:1"}}
        (folder / "config.v2.json").write_text(json.dumps(said), encoding="utf-8")


def crowd() -> contextlib.closing[Crowd]:
    """Begin with none."""
    return contextlib.closing(Crowd())


@contextlib.contextmanager
def pollers(program: str, seconds: int, files: dict[str, list[str]]) -> Iterator[list[subprocess.Popen[str]]]:
    """Start a poller in each cgroup (path -> SOURCE:FILEs); they begin with the body, which reads what they print."""
    mounts = discover_mounts()
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # a pipe of each is open here
    reading, writing = os.pipe()
    started: list[subprocess.Popen[str]] = []
    try:
        for path, names in files.items():
            command = [program, str(seconds), *names]
            started.append(
                subprocess.Popen(command, stdin=reading, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            )
            add_process(mounts, path, started[-1].pid)
        os.close(writing)
        writing = -1
        yield started
    finally:
        os.close(reading)
        if writing >= 0:
            os.close(writing)
        for poller in started:
            poller.kill()
            poller.wait()
            if poller.stdout is not None:
                poller.stdout.close()
