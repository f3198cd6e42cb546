"""The descriptors that must not be lost, under names, as they go from process to process."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class Holdings:
    """Descriptors: both connections, the journal, the instance's lock, the socket on which workers are asked."""

    open: int
    cached: int
    journal: int
    lock: int
    listener: int

    def all(self) -> tuple[int, ...]:
        """All of them."""
        return tuple(getattr(self, one.name) for one in fields(self))

    def to_json(self) -> dict[str, int]:
        """As JSON types."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Holdings:
        """Inverse of `to_json`."""
        return cls(**{one.name: int(data[one.name]) for one in fields(cls)})

    def set_inheritable(self, *, inheritable: bool) -> None:
        """Give them to the program that is executed next, or keep them from it."""
        for fd in self.all():
            os.set_inheritable(fd, inheritable)
