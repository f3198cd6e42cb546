"""Full-screen programs in a terminal of their own."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable
from typing import Final

from tests.integration.containers import environment

DEADLINE_SECONDS: Final = 90
"""For what must happen some time; nothing takes a third of it."""


def screen_of(words: list[str], complete: Callable[[str], bool]) -> str:
    """Run a full-screen program in a terminal of its own; return the first ``complete`` screen, without colours.

    Ctrl-L makes it draw everything anew, so that no half-updated screen is read. It is ended with `q`.
    """
    screen, deadline = "", time.monotonic() + DEADLINE_SECONDS
    terminal, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    process = subprocess.Popen(
        words, env=environment({"TERM": "vt100"}), stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    try:
        drawn_until(terminal, b"F10", time.monotonic() + DEADLINE_SECONDS)
        while not complete(screen) and time.monotonic() < deadline:
            drawn_until(terminal, None, time.monotonic() + 1)
            os.write(terminal, b"\x0c")
            screen = _plain(drawn_until(terminal, b"F10", deadline))
        os.write(terminal, b"q")
        drawn_until(terminal, None, time.monotonic() + DEADLINE_SECONDS)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        os.close(terminal)
    return screen


def _plain(screen: bytes) -> str:
    return re.sub(r"\x1b[()][0-9A-B]|\x1b\[[0-9;?]*[A-Za-z]|\x0f|\x1b[=>]", " ", screen.decode(errors="replace"))


def drawn_until(terminal: int, text: bytes | None, deadline: float) -> bytes:
    """Read what is drawn until it contains ``text``, the program ends, or the deadline has come."""
    drawn = b""
    while (left := deadline - time.monotonic()) > 0 and (text is None or text not in drawn):
        if select.select([terminal], [], [], left)[0]:
            try:
                drawn += os.read(terminal, 1 << 16)
            except OSError:  # EIO: nobody has the other end open any more
                break
    return drawn
