"""Lines to a stream, coloured where that is wanted, with rich."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TextIO

from rich.console import Console
from rich.text import Text

from ctop.renderables.lines import Line
from ctop.renderables.table import as_text
from ctop.themes import THEMES


class Output:
    """Writes to one stream; flushes after each block, so that pipes see whole samples."""

    def __init__(self, stream: TextIO, *, colour: bool) -> None:
        self._stream = stream
        self._console = Console(file=stream, force_terminal=True, soft_wrap=True, highlight=False) if colour else None

    def write(self, text: str) -> None:
        """Write text as it is."""
        self._stream.write(text)
        self._stream.flush()

    def lines(self, lines: Iterable[Line]) -> None:
        """Write styled lines."""
        if self._console is None:
            self.write("".join(f"{as_text(line)}\n" for line in lines))
            return
        styles = THEMES["terminal"].styles
        text = Text("\n").join(Text.assemble(*((part, styles[style]) for part, style in line)) for line in lines)
        self._console.print(text)
        self._stream.flush()
