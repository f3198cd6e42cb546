"""Reading files that a kernel may lack."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from cgroup_model.dialects.records import Dirs
from cgroup_model.parse import flat_keyed, number_of
from cgroup_model.source import Missing, Source

Value = TypeVar("Value")


def directory_of(dirs: Dirs, controller: str) -> str:
    """Find the cgroup's directory in the hierarchy of a controller; raises `Missing` when nothing serves it."""
    try:
        return dirs[controller]
    except KeyError:
        raise Missing(controller or "cgroup2") from None


def optional(source: Source, directory: str, name: str, parse: Callable[[bytes], Value]) -> Value | None:
    """Read and parse a file; None when this kernel does not have it. Every other error is the caller's."""
    try:
        return parse(source.read(directory, name))
    except Missing:
        return None


def skipped(_source: Source, _directory: str, _name: str, _parse: Callable[[bytes], Value]) -> Value | None:
    """Take the place of `optional` for files that are not wanted: reads nothing."""
    return None


def optional_number(source: Source, directory: str, name: str, key: bytes) -> int | None:
    """Read one number of a flat keyed file that may be missing."""
    pairs = optional(source, directory, name, flat_keyed)
    return None if pairs is None else number_of(pairs, key)


def parsed(data: bytes | None, parse: Callable[[bytes], Value]) -> Value | None:
    """Parse a file that was read; None when this kernel does not have it."""
    return None if data is None else parse(data)


def needed(data: bytes | None, name: str) -> bytes:
    """Insist on a file that was read; raises `Missing` when this kernel does not have it."""
    if data is None:
        raise Missing(name)
    return data
