"""Which virtual files are served: ``--files`` and ``--no-files``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TypeVar

Kind = TypeVar("Kind")


@dataclass(frozen=True, slots=True)
class Selection:
    """Patterns of paths such as ``proc/meminfo``, ``proc/pressure/*`` or ``cpuinfo``; none: all."""

    files: tuple[str, ...] = ()
    no_files: tuple[str, ...] = ()

    def of(self, paths: Mapping[str, Kind]) -> dict[str, Kind]:
        """Return those that are wanted. Raises ValueError for a pattern that names no file."""
        for pattern in (*self.files, *self.no_files):
            if not any(_matches(path, pattern) for path in paths):
                raise ValueError(f"no virtual file is called {pattern!r}")
        return {path: view for path, view in paths.items() if self._wants(path)}

    def _wants(self, path: str) -> bool:
        if any(_matches(path, pattern) for pattern in self.no_files):
            return False
        return not self.files or any(_matches(path, pattern) for pattern in self.files)


def patterns(text: str) -> tuple[str, ...]:
    """Split a list such as ``proc/stat,proc/pressure/*``. Raises ValueError for one with a gap."""
    names = tuple(name.strip().lstrip("/") for name in text.split(","))
    if not all(names):
        raise ValueError(f"{text!r} is not a list of files; example: proc/stat,proc/pressure/*")
    return names


def joined(names: Iterable[str]) -> str:
    """Write a list that `patterns` reads."""
    return ",".join(names)


def _matches(path: str, pattern: str) -> bool:
    """Match a whole path, a folder above it, or the end of it."""
    whole: Sequence[str] = (pattern, f"{pattern.rstrip('/')}/*", f"*/{pattern}")
    return any(fnmatchcase(path, one) for one in whole)
