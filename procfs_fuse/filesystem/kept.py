"""What a file system leaves to the process that serves after it, when this one dies at any instruction."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol


class Kept(Protocol):
    """Records by key, each replaced as a whole: whoever comes later finds the old or the new one, never a mixture."""

    def request(self) -> int:
        """Number of the request that is being answered, also when another process began with it; 0 if unknown."""
        ...

    def put(self, key: int, *parts: bytes) -> bool:
        """Keep these bytes, joined, under a key above 0; False when there is no room, and then nothing is kept."""
        ...

    def drop(self, key: int) -> None:
        """Forget a key, if it is there."""
        ...

    def items(self) -> Iterator[tuple[int, bytes]]:
        """Everything that is kept."""
        ...


class Forgetful:
    """For a process that is not followed by another: keeps nothing."""

    def request(self) -> int:
        """Never known."""
        return 0

    def put(self, key: int, *parts: bytes) -> bool:  # noqa: ARG002 - see `Kept`
        """Keep nothing."""
        return True

    def drop(self, key: int) -> None:
        """Nothing is kept."""

    def items(self) -> Iterator[tuple[int, bytes]]:
        """Nothing."""
        return iter(())
