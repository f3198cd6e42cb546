"""Where checks look. Tests put other folders in place of the machine's."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from cgroup_model.engines import container_path
from cgroup_model.hierarchy import Tree
from cgroup_model.mounts import Mounts, discover_mounts
from cgroup_model.source import Source


def run_module(module: str, *words: str) -> str:
    """Standard output of one of our commands; raises OSError or `subprocess.SubprocessError`."""
    command = [sys.executable, "-P", "-m", module, *words]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout


@dataclass(frozen=True)
class Machine:
    """A machine as checks see it."""

    root: str = "/"
    euid: int | None = None
    run: Callable[..., str] = run_module

    def path(self, *parts: str) -> str:
        """Return a path on this machine."""
        return os.path.join(self.root, *parts)

    def text(self, *parts: str) -> str:
        """Return what a file says, stripped; raises OSError."""
        with open(self.path(*parts), encoding="utf-8", errors="replace") as file:
            return file.read().strip()

    @property
    def is_root(self) -> bool:
        """Whether we may do everything."""
        return (os.geteuid() if self.euid is None else self.euid) == 0

    @cached_property
    def mounts(self) -> Mounts:
        """The cgroup file systems; raises OutOfSight."""
        return discover_mounts(self.path("proc"))

    @cached_property
    def tree(self) -> Tree:
        """The cgroups; raises OutOfSight."""
        return Tree(self.mounts, Source(), container_path=container_path, proc_root=self.path("proc"))
