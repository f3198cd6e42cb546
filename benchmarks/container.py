"""A limited container without an engine, in which every candidate's files can be read side by side."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from cgroup_model.control import Limits, add_process, apply, create, kill, remove
from cgroup_model.mounts import Mounts, discover_mounts

LIMITS = Limits(memory_bytes=256 << 20, cpus=1.5, pids=100)


@dataclass(frozen=True, slots=True)
class Container:
    """A running container: its cgroup, and its init as this pid namespace numbers it."""

    path: str
    init: int

    @property
    def key(self) -> str:
        """What our file system calls it."""
        return self.path.rpartition("/")[2]

    def run(self, *command: str) -> str:
        """Run a command inside; returns what it prints."""
        enter = ["nsenter", "-t", str(self.init), "-p", "-m", "--", *command]
        script = 'read -r go; exec "$@"'
        with subprocess.Popen(
            ["sh", "-c", script, "sh", *enter], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            add_process(discover_mounts(), self.path, process.pid)
            output, _ = process.communicate("go\n")
        if process.returncode:
            raise SystemExit(f"{' '.join(command)} failed in the container")
        return output

    def bind(self, source: str, target: str) -> None:
        """Bind a file of the host's, as attach does it, over an empty file of the container's."""
        self.run("sh", "-c", 'touch "$2" && mount --bind "$1" "$2"', "sh", source, target)


@contextlib.contextmanager
def container(name: str) -> Iterator[Container]:
    """Run a container with `LIMITS` and an empty ``/mnt`` of its own; removed at the end. Its name is hexadecimal."""
    mounts, path = discover_mounts(), f"/cgscope-bench-{os.getpid()}-{name}/docker/{(name * 64)[:64]}"
    create(mounts, path)
    try:
        apply(mounts, path, LIMITS)
        with _init(mounts, path) as init:
            yield Container(path, init)
    finally:
        kill(mounts, path)
        remove(mounts, "/" + path.split("/")[1])


@contextlib.contextmanager
def _init(mounts: Mounts, path: str) -> Iterator[int]:
    setup = "mount -t tmpfs none /mnt && echo ready && exec sleep 100000"
    script = f"read -r go; exec unshare -p -f -m --mount-proc --kill-child sh -c '{setup}'"
    process = subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None  # noqa: S101 - a pipe was asked for
    assert process.stdout is not None  # noqa: S101
    add_process(mounts, path, process.pid)
    process.stdin.write("go\n")
    process.stdin.flush()
    if process.stdout.readline() != "ready\n":
        raise SystemExit("cannot make a container: is this root?")
    with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="ascii") as children:
        init = int(children.read().split()[0])
    try:
        yield init
    finally:
        kill(mounts, path)
        process.wait()
