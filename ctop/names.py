"""Names of cgroups: those that are shown are asked for at once, the others a few at a time.

An engine's files take half a millisecond per container, and a thousand of them would keep the first frame waiting.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final

from cgroup_model.engines import Identity, Resolver

SOME: Final = 16
"""How many cgroups are asked for per look, of those that nobody sees."""


class Names:
    """What is known of each cgroup's name so far."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self.known: dict[str, tuple[int, Identity]] = {}  # path -> inode and name
        self._waiting: deque[str] = deque()

    def of(self, path: str, inode: int) -> Identity:
        """What is known now: the path alone, while no file was asked."""
        known = self.known.get(path)
        if known is not None and known[0] == inode:
            return known[1]
        self._waiting.append(path)
        found = self._resolver.by_path(path)
        self.known[path] = (inode, found)
        return found

    def ask(self, path: str, inode: int) -> Identity:
        """Ask the engines' files, unless that was done lately."""
        found = (inode, self._resolver.identify(path, inode))
        known = self.known.get(path)
        if known == found:
            return known[1]  # the very same, so that what was made of it is still good
        self.known[path] = found
        return found[1]

    def update(self, inodes: Mapping[str, int], most: int | None = SOME) -> None:
        """Take in what is there now (path -> inode); ask for some without a name yet, for all when ``most`` is None."""
        for path, inode in inodes.items():
            known = self.known.get(path)
            if known is None or known[0] != inode:
                self.of(path, inode)
        if len(self.known) > len(inodes):
            for path in self.known.keys() - inodes.keys():
                del self.known[path]
        for _ in range(len(self._waiting) if most is None else min(most, len(self._waiting))):
            path = self._waiting.popleft()
            if path in inodes and self.ask(path, inodes[path]).name is None:
                self._waiting.append(path)  # engines write their files a little later; the resolver knows when to ask
