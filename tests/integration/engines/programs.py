"""Running engines' programs, and what several of them are given in the same words."""

from __future__ import annotations

import abc
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.integration.engines.truth import LIMITS, Limits

SECONDS: Final = 600


def finished(words: Sequence[str], environment: Mapping[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; all that it said is its ``stdout``.

    What it leaves running has a file in ``folder`` for its output, and no pipe of ours that we would wait for.
    """
    with (folder / "output").open("w+", encoding="utf-8") as file:
        done = subprocess.run(
            words,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            timeout=SECONDS,
            check=False,
        )
        file.seek(0)
        return subprocess.CompletedProcess(done.args, done.returncode, file.read(), "")


def said(done: subprocess.CompletedProcess[str]) -> str:
    """What a program said, which must have succeeded."""
    assert done.returncode == 0, f"{shlex.join(done.args)}: {done.stdout}{done.stderr}"
    return done.stdout


class Engine(abc.ABC):
    """What `podman` and `docker` have in common."""

    image: str  # what containers are made of
    parent: str  # the cgroup of all of them

    @abc.abstractmethod
    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; all that it said is its ``stdout``."""

    def must(self, *arguments: str) -> str:
        """Run a command, which must succeed; its output."""
        return said(self(*arguments))

    def run(self, name: str, *options: str, limits: Limits = LIMITS) -> str:
        """Start a container that sleeps; its id."""
        chosen = ["--name", name, "--cgroup-parent", self.parent, *limits_of(limits), *options]
        return self.must("run", "--detach", *chosen, self.image, "sleep", "3600").strip().splitlines()[-1]

    def sh(self, name: str, command: str) -> str:
        """Output of a shell command in a container, which must succeed."""
        return self.must("exec", name, "sh", "-c", command)

    def pid(self, name: str) -> int:
        """The first process of a container."""
        return int(self.must("inspect", "--format", "{{.State.Pid}}", name))

    def cgroup(self, name: str) -> str:
        """The path of a container's cgroup."""
        lines = Path(f"/proc/{self.pid(name)}/cgroup").read_text().splitlines()
        return next(line.split(":", 2)[2] for line in lines if ":memory:" in line or line.startswith("0::"))


def limits_of(limits: Limits) -> list[str]:
    """Options of podman and docker."""
    memory = str(limits.memory_bytes)
    return [
        *("--memory", memory, "--memory-swap", memory, "--cpus", str(limits.cpus)),
        *("--cpuset-cpus", limits.cpuset, "--pids-limit", str(limits.pids), "--network", "none"),
    ]
