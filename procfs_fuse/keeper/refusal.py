"""What the keeper itself tells readers when nobody serves: EIO, at once, rather than that they wait for ever."""

from __future__ import annotations

import errno
import os
from typing import NoReturn


class Refusal:
    """A `transport.FileSystem` in which nothing works."""

    def __init__(self, *, cached: bool) -> None:
        self.cached = cached

    def _refuse(self, *_arguments: object) -> NoReturn:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    lookup = getattr = readlink = readdir = open = read = _refuse

    def release(self, node: int, fh: int) -> None:
        """Nothing was opened here."""

    def settle(self) -> None:
        """Nothing is ever left over."""
