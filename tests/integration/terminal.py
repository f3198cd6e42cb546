"""A real terminal for tests: a program on a pty, its screen emulated by pyte."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from typing import Final, Self

import pyte

PATIENCE_SECONDS: Final = 60.0
"""How long something may take before it counts as never; no test depends on how long it does take."""

_STILL_SECONDS, _STILL_TICKS = 3.0, 2  # a thread that polls uses a little
_KITTY: Final = re.compile(rb"\x1b\[[<>=?][0-9;]*[a-zA-Z]")  # private sequences, of which pyte draws some as text


def _as_from_a_shell() -> None:
    """Interrupts are not ignored, even if they are for us, as in a background job."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Terminal:
    """One program on a terminal of its own. ``raw`` is everything that it sent."""

    def __init__(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        *,
        width: int = 120,
        height: int = 40,
        term: str = "xterm-256color",
    ) -> None:
        self.raw = b""
        self.screen = pyte.Screen(width, height)
        self._stream = pyte.ByteStream(self.screen)
        self._master, slave = pty.openpty()
        self.resize(width, height, tell=False)
        self.before = termios.tcgetattr(slave)
        self._slave = slave  # kept open, so that the settings can be asked for when the program is gone
        self.process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**env, "TERM": term},
            start_new_session=True,
            preexec_fn=_as_from_a_shell,  # noqa: PLW1509 - no threads here
        )

    def resize(self, width: int, height: int, *, tell: bool = True) -> None:
        """Change the size, as a window manager does."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        self.screen.resize(height, width)
        if tell:
            self.process.send_signal(signal.SIGWINCH)

    def hang_up(self) -> None:
        """Close the terminal, as when a connection breaks."""
        os.close(self._master)
        self._master = os.open(os.devnull, os.O_RDONLY)

    def send(self, keys: str) -> None:
        """Type."""
        os.write(self._master, keys.encode())

    def read(self, seconds: float = 0.05) -> bytes:
        """Take in what was sent meanwhile."""
        parts = []
        while select.select([self._master], [], [], seconds)[0]:
            try:
                part = os.read(self._master, 65536)
            except OSError:
                break
            parts.append(part)
            seconds = 0.01
        data = b"".join(parts)
        self.raw += data
        self._stream.feed(_KITTY.sub(b"", data))
        return data

    def wait_for(self, text: str) -> None:
        """Read until the text is on the screen; fails when it never comes."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while text not in self.text:
            assert time.monotonic() < deadline, f"{text!r} never came; the screen is:\n{self.text}"
            assert self.process.poll() is None or self.read() or text in self.text, f"it ended:\n{self.text}"
            self.read()

    def shows(self, *texts: str) -> bool:
        """Read for a look or two; whether one of the texts is on the screen."""
        until = time.monotonic() + 2.0
        while time.monotonic() < until and not any(text in self.text for text in texts):
            self.read()
        return any(text in self.text for text in texts)

    def wait_until_stopped(self) -> None:
        """Read until the program has stopped itself; whoever did not read would keep it from drawing its last frame."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not os.waitpid(self.process.pid, os.WUNTRACED | os.WNOHANG)[0]:
            assert time.monotonic() < deadline, f"it never stopped; the screen is:\n{self.text}"
            self.read()
        self.read()

    def wait_until_stalled(self) -> None:
        """Do not read until the program, which never rests by itself, uses no more CPU: it waits for being read."""
        deadline = time.monotonic() + 2 * PATIENCE_SECONDS
        before, since = self._cpu_ticks(), time.monotonic()
        while time.monotonic() - since < _STILL_SECONDS:
            assert time.monotonic() < deadline, "it never stopped writing"
            if (now := self._cpu_ticks()) > before + _STILL_TICKS:
                before, since = now, time.monotonic()
            time.sleep(0.05)

    def _cpu_ticks(self) -> int:
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii", errors="replace") as file:
            return sum(map(int, file.read().rpartition(")")[2].split()[11:13]))

    def wait_until_sent(self, data: bytes) -> None:
        """Read until this was sent, whatever has been drawn over it since."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while data not in self.raw:
            assert time.monotonic() < deadline, f"{data!r} was never sent; the screen is:\n{self.text}"
            self.read()

    def wait_until_gone(self) -> int:
        """Read until the program has ended; its exit code."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it never ended; the screen is:\n{self.text}"
            self.read()
        self.read()
        return self.process.returncode

    @property
    def text(self) -> str:
        """The whole screen."""
        return "\n".join(self.screen.display)

    @property
    def is_restored(self) -> bool:
        """True when echo and line mode are as before, the cursor is seen, and the other screen and mouse are off."""
        same = termios.tcgetattr(self._slave)[:4] == self.before[:4]
        off = all(
            self.raw.rfind(b"\x1b[?" + mode + b"l") >= self.raw.rfind(b"\x1b[?" + mode + b"h")
            for mode in (b"1049", b"1000")
        )
        return same and off and self.raw.rfind(b"\x1b[?25h") > self.raw.rfind(b"\x1b[?25l")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._master)
        os.close(self._slave)
