"""The first frame, without Textual: its import takes as long as everything up to here.

The terminal belongs to us from the first frame on, and to Textual from its own start on. Between the two, keys wait
in the terminal's queue, unseen and uncooked, and signals that would end the program wait in the kernel.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import termios
from datetime import tzinfo
from typing import TYPE_CHECKING, Any, Final, Self, TextIO

from cgscope.errors import Failure
from ctop.frame import cursor_line, head_lines, list_lines, status
from ctop.renderables.foot import foot_line
from ctop.renderables.lines import Line
from ctop.session import Session
from ctop.themes import Theme

if TYPE_CHECKING:
    from textual.driver import Driver

_ENTER: Final = "\x1b[?1049h"  # the alternate screen
_LEAVE: Final = "\x1b[?1049l\x1b[?25h"
_HIDE_CURSOR: Final = "\x1b[?25l\x1b[H"
_CODES: Final = {
    "bold": "1", "dim": "2", "italic": "3", "underline": "4", "reverse": "7",
    "red": "31", "green": "32", "yellow": "33", "cyan": "36", "white": "37",
}  # fmt: skip
"""Words of styles -> ECMA-48, select graphic rendition."""
_HELD: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP)
_IFLAG, _LFLAG = 0, 3
_TRANSLATED: Final = termios.ICRNL | termios.INLCR | termios.IGNCR | termios.IXON
_COOKED: Final = termios.ECHO | termios.ICANON | termios.ISIG | termios.IEXTEN


class Handover:
    """The terminal between the first frame and Textual; whoever leaves before finds it as it was."""

    def __init__(self, session: Session, theme: Theme, zone: tzinfo, *, has_head: bool, is_read_only: bool) -> None:
        self._session = session
        self._theme = theme
        self._zone = zone
        self._has_head = has_head
        self._is_read_only = is_read_only
        self.is_ours = False

    def __enter__(self) -> Self:
        """Look, draw, and hold signals back."""
        width, height = os.get_terminal_size(1)
        self._session.resize(height)
        self._session.refresh()
        lines = self._lines(width, height)
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, _HELD)
        self._before = termios.tcgetattr(0)
        ours = termios.tcgetattr(0)
        ours[_IFLAG] &= ~_TRANSLATED
        ours[_LFLAG] &= ~_COOKED
        termios.tcsetattr(0, termios.TCSANOW, ours)
        self.is_ours = True
        _write(_ENTER + _HIDE_CURSOR + "\r\n".join(lines))
        return self

    def __exit__(self, *_error: object) -> None:
        """Give back what Textual did not take over."""
        if self.is_ours:
            with contextlib.suppress(termios.error, OSError):  # the terminal is gone
                termios.tcsetattr(0, termios.TCSANOW, self.give_terminal())
                _write(_LEAVE)
        self.take_signals()

    def give_terminal(self) -> list[Any]:
        """Leave the terminal to somebody else, who is to restore these settings (of termios) one day."""
        self.is_ours = False
        return self._before

    def take_signals(self) -> None:
        """Let signals through, those that came meanwhile first."""
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)

    def driver(self) -> type[Driver]:
        """Textual's driver, which takes the terminal over when it starts."""
        from textual.drivers.linux_driver import LinuxDriver  # noqa: PLC0415 - the first frame does not wait for it

        handover = self

        class Successor(LinuxDriver):
            """Draws over the first frame."""

            _is_entered = False

            def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - textual's
                super().__init__(*arguments, **options)
                self._file: Any = _Lasting(self._file)

            def start_application_mode(self) -> None:
                """Take over, without a moment in which keys would be echoed; again after each stop."""
                if not os.isatty(0):
                    raise Failure("the terminal is gone")
                super().start_application_mode()  # type: ignore[no-untyped-call]
                if handover.is_ours:
                    self.attrs_before = handover.give_terminal()

            def write(self, data: str) -> None:
                """Leave out the first switch to the alternate screen: some terminals would clear it."""
                if data == _ENTER and not self._is_entered:
                    self._is_entered = True
                else:
                    super().write(data)

        return Successor

    def _lines(self, width: int, height: int) -> list[str]:
        """The whole screen."""
        session = self._session
        head = head_lines(session, width, height, self._zone) if self._has_head else []
        session.resize(height - len(head) - 2)
        body: list[Line] = list_lines(session, width)
        selected = cursor_line(session)
        blank: Line = [(" " * width, "")]
        foot = foot_line(status(session, is_read_only=self._is_read_only), width, zone=self._zone)
        lines = [self._drawn(line) for line in head]
        lines += [self._drawn(line, is_selected=index == selected) for index, line in enumerate(body)]
        lines += [self._drawn(blank)] * (height - len(lines) - 1)
        return [*lines[: height - 1], self._drawn(foot)]

    def _drawn(self, line: Line, *, is_selected: bool = False) -> str:
        """One line with the terminal's own colours; the finer ones come with Textual."""
        styles = self._theme.words
        more = styles["selected"] if is_selected else ""
        parts = []
        for text, name in line:
            codes = [_CODES[word] for word in f"{styles[name]} {more}".split() if word in _CODES]
            parts.append(f"\x1b[{';'.join(codes)}m{text}\x1b[0m" if codes else text)
        return "".join(parts)


class _Lasting:
    """A stream to the terminal that never fails: what is written when that is gone is lost.

    Otherwise the thread that writes would end, and the application wait forever until its last frames are taken.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """Write as far as possible."""
        with contextlib.suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        """Flush as far as possible."""
        with contextlib.suppress(OSError):
            self._stream.flush()

    def fileno(self) -> int:
        """See the stream."""
        return self._stream.fileno()


def _write(text: str) -> None:
    stream = sys.__stdout__
    if stream is not None:
        stream.buffer.write(text.encode(stream.encoding, "replace"))
        stream.flush()
