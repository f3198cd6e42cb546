"""What was made of which bytes: files that say the same as before are read, but not parsed again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cgroup_model.record import dataclass

Parse = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Record:
    """The files of a record, what they said, and what was made of it.

    ``descriptors`` are those of the files, None for one that is not there, where all are open or known to be missing
    until ``good_until``; so that they can be read again in one go.
    """

    names: tuple[str, ...]
    raw: Sequence[bytes | None]
    more: tuple[object, ...]
    value: Any
    descriptors: tuple[int | None, ...] | None
    good_until: float


@dataclass(slots=True)
class Trace:
    """What an answer was made of: settings as of a version, and what files said that can be read again in one go.

    ``places`` are the files' directories with what is known of each: while that is the same object, the descriptors are
    open. ``good_until``: what was not there is looked for again then. ``restless`` is the place of the file that said
    something else last, -1 for none.
    """

    settings: int
    places: tuple[tuple[str, Mapping[Parse, Record]], ...]
    descriptors: tuple[int, ...]
    said: list[bytes]
    good_until: float
    restless: int = -1

    @property
    def proves_life(self) -> bool:
        """Whether there is any file to read: those of a cgroup that is gone cannot be."""
        return bool(self.descriptors)
