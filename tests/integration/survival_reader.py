"""A hot, strict reader for test_survival.py: reads one container's files in every way until its input ends.

    python survival_reader.py SEED OPEN_DIRECTORY CACHED_DIRECTORY CONTAINER MEMORY_KB…

Whatever a reader can notice when a server is killed is an error here: a failed call, NUL bytes, a line that is cut,
counters that fall, another container's memory (MemTotal must be one of MEMORY_KB). Errors that are listed in the
environment variable TOLERATED, by name, are counted and nothing more. With INSIDE, a process, it reads what is mounted
in that one's mount namespace. The output is a JSON object.
"""

from __future__ import annotations

import errno
import json
import os
import random
import select
import sys
import time
from collections import Counter
from typing import Final

from procfs_fuse import syscalls
from tests.integration.reader import FILES, WAYS, Checker, Opened, Wrong, expect

_HOT: Final = ("proc/meminfo", "proc/stat", "proc/cpuinfo", "proc/uptime", "proc/loadavg")


class Timed(Opened):
    """Measures the longest time that a call took."""

    longest_seconds = 0.0

    def __init__(self, path: str, choose: random.Random) -> None:
        started = time.monotonic()
        super().__init__(path, choose)
        Timed.longest_seconds = max(Timed.longest_seconds, time.monotonic() - started)

    def _read(self, size: int, offset: int | None = None) -> bytes:
        started = time.monotonic()
        try:
            return super()._read(size, offset)
        finally:
            Timed.longest_seconds = max(Timed.longest_seconds, time.monotonic() - started)


class HotReader:
    """Reads until told to stop."""

    def __init__(self, seed: int, roots: tuple[str, str], container: str, memory_kb: frozenset[int]) -> None:
        self._choose = random.Random(seed)  # noqa: S311 - repeatable, not secret
        self._roots = roots
        self._container = container
        self._memory_kb = memory_kb
        self._tolerated = {getattr(errno, name) for name in os.environ.get("TOLERATED", "").split()}
        self._checker = Checker(frozenset([container]))
        self.path = ""
        self.calls = 0
        self.files: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()

    def read(self) -> None:
        """Read one file in one way."""
        root = self._choose.choice(self._roots)
        path = self.path = self._choose.choice(_HOT if self._choose.random() < 0.9 else FILES)
        way = self._choose.choice(WAYS)
        try:
            opened = Timed(f"{root}/{self._container}/{path}", self._choose)
            try:
                content = way(opened)
                one_moment = way is not Opened.split or not opened.is_cached
            finally:
                self.calls += opened.reads
                os.close(opened.fd)
        except OSError as error:
            if error.errno not in self._tolerated:
                raise
            self.errors[errno.errorcode[error.errno or 0]] += 1
            return
        self._checker.check(self._container, path, content, one_moment=one_moment)
        if path == "proc/meminfo" and one_moment:  # else half of the number may be of the next moment
            expect(int(content.split()[1]) in self._memory_kb, "another container's memory", content)
        self.files[path] += 1


def main(seed: str, open_directory: str, cached_directory: str, container: str, *memory_kb: str) -> None:
    """Read until standard input ends."""
    if (pid := os.environ.get("INSIDE")) is not None:
        syscalls.setns(os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY), syscalls.CLONE_NEWNS)
    reader = HotReader(int(seed), (open_directory, cached_directory), container, frozenset(map(int, memory_kb)))
    print("reading", flush=True)  # noqa: T201
    try:
        while not select.select([0], [], [], 0)[0]:
            reader.read()
    except (Wrong, OSError) as error:
        sys.exit(f"reader {seed}: {reader.path}: {type(error).__name__}: {error}")
    report = {"calls": reader.calls, "files": reader.files, "errors": reader.errors}
    print(json.dumps({**report, "longest_seconds": Timed.longest_seconds}))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
