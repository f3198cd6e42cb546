"""The books of OOM kills: readings of counters go in, accounts that never fall come out. No I/O, no clock.

A path keeps its account when its cgroup is removed and made again: what a container's name stands for is the same, and
a counter that began anew at each restart would lose the kill that caused it. A kill is booked in the cgroup that
counted it and, as ``below``, in all its ancestors; where the kernel itself adds up what is below (v2) that sum decides.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from cgroup_model.dialects import OomKills
from cgroup_model.engines import Identity
from cgroup_model.oom.records import Account, Victim

MOST_ACCOUNTS: Final = 2048
MOST_VICTIMS: Final = 8  # of one account
MOST_RECENT: Final = 256  # victims of the whole machine
VICTIM_SECONDS: Final = (
    10.0  # a victim without a cgroup belongs to a kill that was counted this shortly before or after
)
PAGES: Final = 2  # how many looks at the accounts a departed one is kept for, at least
KEPT_SECONDS: Final = 900.0  # and how long

ROOT: Final = "/"

Identify = Callable[[str, int], Identity]
"""Path and inode of a cgroup -> who it is."""


@dataclass(slots=True)
class Entry:
    """An account as it is being written. The readings are those of the cgroup that has the path now."""

    path: str
    inode: int | None = None
    past: int = 0  # at or below, of cgroups that had the path before
    past_own: int = 0
    own: int = 0
    below: int = 0
    subtree: int = 0  # the kernel's own sum; 0 where it makes none
    first_epoch: float | None = None
    last_epoch: float | None = None
    gone_epoch: float | None = None
    pages: int = 0  # looks at it since it departed
    unnamed: int = 0  # kills whose victim is not known (yet)
    identity: Identity | None = None
    victims: tuple[Victim, ...] = ()

    @property
    def kills(self) -> int:
        """Kills at and below the path."""
        return self.past + max(self.own + self.below, self.subtree)

    def end_life(self) -> None:
        """Add the readings to the past: the next cgroup with this path begins at 0."""
        self.past, self.past_own = self.kills, self.past_own + self.own
        self.own = self.below = self.subtree = 0
        self.inode = None

    def frozen(self) -> Account:
        """Give the account as a record."""
        return Account(
            path=self.path,
            kills=self.kills,
            own_kills=self.past_own + self.own,
            inode=self.inode,
            first_epoch=self.first_epoch,
            last_epoch=self.last_epoch,
            gone_epoch=self.gone_epoch,
            identity=self.identity,
            victims=self.victims,
        )


class Ledger:
    """All accounts. Not for use by several threads at once."""

    def __init__(self, living: Callable[[str], int | None], identify: Identify | None = None) -> None:
        """``living`` gives the inode of the cgroup that has a path now, or None.

        ``identify`` names a cgroup when its first kill is booked: later its engine has forgotten it.
        """
        self._living = living
        self._identify = identify
        self.entries: dict[str, Entry] = {}
        self.recent: deque[Victim] = deque(maxlen=MOST_RECENT)
        self._unplaced: deque[Victim] = deque(maxlen=MOST_RECENT)
        self.attributed = 0
        """Kills that were booked in some cgroup since the ledger began."""
        self.changes = 0
        """Grows with everything that is worth keeping."""

    # ----------------------------------------------------------------------------------------- booking

    def observe(self, path: str, inode: int, kills: OomKills, epoch: float | None) -> int:
        """Book a reading of a cgroup's counters; gives the number of kills that are new in the cgroup itself.

        ``epoch`` None: what was there before the ledger began, which is in the account but not in ``attributed``.
        """
        entry = self.entries.get(path)
        if entry is None:
            if not kills.own and not kills.subtree:
                return 0
            entry = self._open(path, inode)
        self._live(entry, inode)
        if kills.subtree is not None and kills.subtree > entry.subtree:
            entry.subtree = kills.subtree
            self._changed(entry, epoch)
        # Before Linux 5.2 v2 knows the sum only: what is not below is the cgroup's own.
        own = kills.own if kills.own is not None else (kills.subtree or 0) - entry.below
        new = own - entry.own
        if new > 0:
            self._book(entry, new, epoch)
        return max(0, new)

    def depart(self, path: str, inode: int, epoch: float, more: int = 0) -> None:
        """Close the account of a cgroup that is gone; ``more`` are kills that happened after its last reading."""
        entry = self.entries.get(path)
        if more:
            entry = entry or self._open(path, inode)
            if entry.inode is None:
                entry.inode = inode
            self._book(entry, more, epoch, past=entry.inode != inode)  # a successor may have the path already
        if entry is not None and entry.inode == inode:
            entry.end_life()
            entry.gone_epoch, entry.pages = epoch, 0
            self.changes += 1

    def unexplained_below(self, path: str) -> int:
        """Count kills that the kernel added up for a living cgroup (v2) but that are in no account below it."""
        entry = self.entries.get(path)
        return 0 if entry is None or entry.inode is None else max(0, entry.subtree - entry.own - entry.below)

    def add_victim(self, victim: Victim) -> None:
        """Take in who died."""
        self.recent.append(victim)
        self._unplaced.append(victim)
        self.changes += 1
        self.place_victims()

    def place_victims(self) -> None:
        """Give victims to accounts with kills that nobody is known for: by path, or where only one account is left."""
        waiting = list(self._unplaced)
        self._unplaced.clear()
        for victim in waiting:
            entry = self._account_of(victim)
            if entry is None:
                self._unplaced.append(victim)
                continue
            entry.victims = (*entry.victims, victim)[-MOST_VICTIMS:]
            entry.unnamed -= 1

    def unplaced(self) -> tuple[Victim, ...]:
        """List victims that belong to no account so far, the oldest first."""
        return tuple(self._unplaced)

    # ----------------------------------------------------------------------------------------- keeping

    def expire(self, epoch: float) -> None:
        """Count one look at the accounts, and drop those that departed long ago."""
        for entry in [one for one in self.entries.values() if one.inode is None]:
            entry.pages += 1
            if entry.pages > PAGES and epoch - (entry.gone_epoch or 0.0) > KEPT_SECONDS:
                del self.entries[entry.path]
                self.changes += 1
        while self._unplaced and epoch - self._unplaced[0].epoch > VICTIM_SECONDS:
            self._unplaced.popleft()
        for entry in self.entries.values():
            if entry.unnamed and epoch - (entry.last_epoch or 0.0) > VICTIM_SECONDS:
                entry.unnamed = 0

    def accounts(self) -> tuple[Account, ...]:
        """Give all accounts by path."""
        return tuple(self.entries[path].frozen() for path in sorted(self.entries))

    def _open(self, path: str, inode: int | None) -> Entry:
        if len(self.entries) >= MOST_ACCOUNTS:
            self._make_room()
        entry = self.entries[path] = Entry(path, inode)
        if self._identify is not None:
            entry.identity = self._identify(path, inode or 0)
        return entry

    def _make_room(self) -> None:
        """Drop the departed account in which nothing has happened for longest; the living are as many as they are."""
        departed = [one for one in self.entries.values() if one.inode is None]
        if departed:
            del self.entries[min(departed, key=lambda one: one.last_epoch or 0.0).path]

    def _live(self, entry: Entry, inode: int) -> None:
        if entry.inode != inode:
            entry.end_life()
            entry.inode, entry.gone_epoch = inode, None
            self.changes += 1

    def _book(self, entry: Entry, new: int, epoch: float | None, *, past: bool = False) -> None:
        if past:
            entry.past, entry.past_own = entry.past + new, entry.past_own + new
        else:
            entry.own += new
        self._changed(entry, epoch)
        if epoch is not None:
            self.attributed += new
            entry.unnamed += new
        for path in _ancestors(entry.path):
            above = self.entries.get(path)
            if above is None:
                above = self._open(path, self._living(path))
            above.below += new
            self._changed(above, epoch)
        self.place_victims()

    def _changed(self, entry: Entry, epoch: float | None) -> None:
        self.changes += 1
        if epoch is not None:
            entry.first_epoch = entry.first_epoch or epoch
            entry.last_epoch = epoch

    def _account_of(self, victim: Victim) -> Entry | None:
        if victim.cgroup is not None:
            entry = self.entries.get(victim.cgroup)
            return entry if entry is not None and entry.unnamed > 0 else None
        waiting = [one for one in self._unnamed() if abs((one.last_epoch or 0.0) - victim.epoch) <= VICTIM_SECONDS]
        return waiting[0] if len(waiting) == 1 else None

    def _unnamed(self) -> Iterable[Entry]:
        return (one for one in self.entries.values() if one.unnamed > 0)


def _ancestors(path: str) -> Iterator[str]:
    """Yield the paths above a path, the root last; of the root none."""
    while path != ROOT:
        path = path[: path.rfind("/")] or ROOT
        yield path
