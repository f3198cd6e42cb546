"""`attach --all --watch`, seen from outside."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from procfs_fuse.attach import report
from tests.integration.command_line import PATIENCE_SECONDS, CommandLine, eventually


class Watch:
    """The watcher of an instance."""

    def __init__(self, instance: CommandLine, *options: str) -> None:
        self.directory = Path(instance.status()[0]["state_dir"])
        (self.directory / "attached.json").unlink(missing_ok=True)
        self._log = Path(instance.state_dir).with_name("watch.log")  # no pipe: nobody would empty it meanwhile
        words = instance.words("attach", "--all", "--watch", *options)
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(words, env=instance.environment, stderr=log)
        assert eventually(lambda: self.report)

    @property
    def report(self) -> Mapping[str, Any]:
        """What it has written; empty before."""
        return report.read(str(self.directory)) or {}

    def knows(self, cgroup: str) -> bool:
        """Whether it has attached a container."""
        return any(one["cgroup"] == cgroup and not one["problem"] for one in self.report["containers"])

    def failed(self, cgroup: str) -> bool:
        """Whether it has given up on a container."""
        return any(one["cgroup"] == cgroup and one["problem"] for one in self.report["containers"])

    @property
    def log(self) -> str:
        """What it wrote on its standard error."""
        return self._log.read_text()

    @property
    def descriptors(self) -> int:
        """Number of its open files."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    @property
    def resident_bytes(self) -> int:
        """Its memory."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def close(self) -> None:
        """End it."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE_SECONDS)


@contextlib.contextmanager
def watching(instance: CommandLine, *options: str) -> Iterator[Watch]:
    """Give a watcher, ended afterwards; it has to live until then."""
    watch = Watch(instance, *options)
    try:
        yield watch
        assert watch.process.poll() is None, watch.log
    finally:
        watch.close()
