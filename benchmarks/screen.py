"""A program on a terminal of its own: what it writes, when its first frame comes, what it costs."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

WIDTH: Final = 120
HEIGHT: Final = 50
TICKS: Final = os.sysconf("SC_CLK_TCK")


class Screen:
    """A running program."""

    def __init__(
        self,
        command: Sequence[str],
        settings: str,
        environment: Mapping[str, str] | None = None,
        code: str | None = None,
    ) -> None:
        """Start it, in the folder ``code`` if there is one, where Python looks for modules first.

        ``settings`` is a folder of the run's own: htop makes one wherever it looks for its settings.
        """
        self._master, slave = pty.openpty()
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
        given = {**(environment or os.environ), "TERM": "xterm-256color", "XDG_CONFIG_HOME": settings}
        if code is not None:
            given["PYTHONPATH"] = code
        self._started = time.monotonic()
        self._process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=given, cwd=code, start_new_session=True
        )
        os.close(slave)

    def read(self, seconds: float, sign: bytes | None = None) -> tuple[int, float | None]:
        """Take what is written for some seconds: its length, and when a sign was seen, counted from the start.

        Raises OSError when the program has ended.
        """
        end = time.monotonic() + seconds
        length, tail, seen = 0, b"", None
        while (left := end - time.monotonic()) > 0:
            if not select.select([self._master], [], [], left)[0]:
                continue
            try:
                data = os.read(self._master, 1 << 16)
            except OSError as error:  # nobody has the terminal any more
                raise OSError(f"it ended: {tail[-500:].decode(errors='replace')}") from error
            length += len(data)
            tail = (tail + data)[-(1 << 16) :]
            if sign is not None and seen is None and sign in tail:
                seen = time.monotonic() - self._started
        return length, seen

    def cpu_seconds(self) -> float:
        """CPU time so far, children included."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / TICKS

    def rss_mib(self) -> float:
        """Resident memory."""
        status = Path(f"/proc/{self._process.pid}/status").read_text("ascii", "replace")
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        self._process.kill()
        self._process.wait()
        os.close(self._master)
