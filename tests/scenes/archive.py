"""Many small text files in one that reads well in a review.

    ==> proc/loadavg
    0.00 0.01 0.05 1/77 412
    ==> proc/100/ns/pid -> pid:[4026532171]
    ==> proc/cmdline (no newline at the end)
    root=/dev/vda

A heading begins each file; its lines follow as they are. The kernel writes no line that begins like a heading.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

_HEADING: Final = b"==> "
_ARROW: Final = b" -> "
_CUT: Final = b" (no newline at the end)"


class Link(NamedTuple):
    """A symbolic link."""

    target: str


Entry = bytes | Link


class ArchiveError(ValueError):
    """The text is no archive, or a file cannot be put into one; says which line or file."""


def dump(entries: Mapping[str, Entry]) -> bytes:
    """Write an archive, sorted by path. Raises `ArchiveError`."""
    return b"".join(_written(path, entries[path]) for path in sorted(entries))


def load(data: bytes) -> dict[str, Entry]:
    """Read an archive. Raises `ArchiveError`."""
    return dict(_read(data))


def _written(path: str, entry: Entry) -> bytes:
    name = path.encode()
    if b"\n" in name or _ARROW in name or name.endswith(_CUT):
        raise ArchiveError(f"{path!r}: a name that an archive cannot hold")
    if isinstance(entry, Link):
        return _HEADING + name + _ARROW + entry.target.encode() + b"\n"
    if entry.startswith(_HEADING) or b"\n" + _HEADING in entry or b"\0" in entry:
        raise ArchiveError(f"{path}: content that an archive cannot hold")
    whole = not entry or entry.endswith(b"\n")
    return _HEADING + name + (b"\n" + entry if whole else _CUT + b"\n" + entry + b"\n")


def _read(data: bytes) -> Iterator[tuple[str, Entry]]:
    if data and not (data.startswith(_HEADING) and data.endswith(b"\n")):
        raise ArchiveError("an archive begins with a heading and ends with a line")
    for piece in (b"\n" + data.removesuffix(b"\n")).split(b"\n" + _HEADING)[1:]:
        heading, _, content = (piece + b"\n").partition(b"\n")
        name, arrow, target = heading.partition(_ARROW)
        if arrow:
            yield name.decode(), Link(target.decode())
        elif heading.endswith(_CUT):
            yield heading.removesuffix(_CUT).decode(), content.removesuffix(b"\n")
        else:
            yield name.decode(), content
