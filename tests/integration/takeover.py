"""Being a worker that dies at a chosen instruction: the test holds the keeper's descriptors, and does what it did."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from procfs_fuse.keeper.journal import CONNECTIONS, Journal
from procfs_fuse.transport import mounting
from procfs_fuse.transport.wire import IN_HEADER, OUT_HEADER
from tests.integration.command_line import PATIENCE_SECONDS, eventually
from tests.integration.survival import Served

SLOT: Final = 0
"""The slot of the worker that serves, as long as nobody is stuck in another."""
_PIDFD_GETFD: Final = 438  # the same number on every architecture


class Reader:
    """A process that makes one system call per line it is told, and answers with what came of it."""

    SCRIPT: Final = """
import os, sys
for line in sys.stdin:
    try: print(repr(eval(line)), flush=True)
    except OSError as error: print(repr(error.errno), flush=True)
"""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", self.SCRIPT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pid = self._process.pid

    def begin(self, call: str) -> None:
        """Have it make a call, which may take long."""
        assert self._process.stdin is not None
        self._process.stdin.write(call + "\n")
        self._process.stdin.flush()

    def end(self) -> str:
        """What came of it."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().rstrip("\n")

    def call(self, call: str) -> str:
        """Both."""
        self.begin(call)
        return self.end()

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate(timeout=PATIENCE_SECONDS)


class Imposter:
    """Does, with the descriptors and the journal of an instance, what its worker does; that one stands still."""

    def __init__(self, served: Served) -> None:
        state = served.complete()
        self._keeper, self.worker = state["keeper_pid"], state["worker_pids"][0]
        self.descriptors = {name: self._copy(fd) for name, fd in _held(state["nursery_pid"]).items()}
        self.journal = Journal(self.descriptors["journal"])
        os.kill(self.worker, signal.SIGSTOP)
        assert eventually(lambda: Path(f"/proc/{self.worker}/stat").read_text().rpartition(")")[2].split()[0] == "T")

    def _copy(self, fd: int) -> int:
        libc = ctypes.CDLL(None, use_errno=True)
        pidfd = os.pidfd_open(self._keeper)
        try:
            copy = libc.syscall(ctypes.c_long(_PIDFD_GETFD), pidfd, fd, 0)
            assert copy >= 0, os.strerror(ctypes.get_errno())
            return int(copy)
        finally:
            os.close(pidfd)

    def read_request(self, name: str = "open") -> tuple[int, int]:
        """Read a request into the journal; returns its opcode and its number."""
        assert eventually(lambda: self._read(name))
        _length, opcode, unique, _node, _pid = IN_HEADER.unpack_from(self.journal.buffer(SLOT, name))
        return opcode, unique

    def _read(self, name: str) -> bool:
        with contextlib.suppress(BlockingIOError):
            return os.readv(self.descriptors[name], [self.journal.buffer(SLOT, name)]) > 0
        return False

    def answer(self, unique: int, body: bytes, name: str = "open") -> None:
        """Answer it, and leave it in the journal."""
        os.write(self.descriptors[name], OUT_HEADER.pack(OUT_HEADER.size + len(body), 0, unique) + body)

    def die(self) -> None:
        """Have the worker die with what is in the journal."""
        os.kill(self.worker, signal.SIGKILL)

    def close(self) -> None:
        """Give everything back."""
        self.journal.close()
        for fd in self.descriptors.values():
            os.close(fd)


def _held(pid: int) -> dict[str, int]:
    """Descriptors of both connections, in the order in which they were mounted, and of the journal."""
    folder = Path(f"/proc/{pid}/fd")
    opened = {int(fd): os.readlink(folder / fd) for fd in os.listdir(folder) if (folder / fd).is_symlink()}
    devices = sorted(fd for fd, target in opened.items() if target == mounting.DEVICE)
    (journal,) = (fd for fd, target in opened.items() if "memfd:procfs-fuse-journal" in target)
    return {**dict(zip(CONNECTIONS, devices, strict=True)), "journal": journal}


@contextlib.contextmanager
def imposter(served: Served) -> Iterator[Imposter]:
    """Take the place of the worker that serves."""
    one = Imposter(served)
    try:
        yield one
    finally:
        one.close()
