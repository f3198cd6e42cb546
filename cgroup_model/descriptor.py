"""A descriptor of one's own: to be polled, and closed once."""

from __future__ import annotations

import os
from typing import Self


class Descriptor:
    """Holds an open descriptor, which it closes when it is left or told to; once, however often."""

    def __init__(self, number: int) -> None:
        """Take over the descriptor ``number``."""
        self._fd = number

    def fileno(self) -> int:
        """Return the descriptor, to poll it for reading; -1 after `close`."""
        return self._fd

    def close(self) -> None:
        """Close the descriptor, and with it what the kernel keeps for it."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
