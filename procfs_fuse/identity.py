"""Numbers for containers that are never used twice.

A container is one life of one cgroup: (path, inode). Its *slot* goes into the node ids of its files; a slot is never
given to another container, so that a node id the kernel still holds can only mean the container it was made for.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from cgroup_model.layout import Cgroup

CALLER_SLOT: Final = 0
"""The tree that answers for whoever reads."""

_SETTLING_SECONDS: Final = 10.0

log = logging.getLogger(__name__)


class SlotTable:
    """(path, inode) of a cgroup <-> slot.

    ``given(slot, path, inode)`` is called before anybody hears of a new slot, ``retired(slot)`` after its end.
    """

    def __init__(
        self,
        given: Callable[[int, str, int], None] = lambda _slot, _path, _inode: None,
        retired: Callable[[int], None] = lambda _slot: None,
    ) -> None:
        self._given = given
        self._retired = retired
        self._restored: dict[int, tuple[str, int]] = {}  # slots of an earlier process that nobody asked for yet
        self._next = CALLER_SLOT + 1
        self._slots: dict[tuple[str, int], int] = {}
        self._cgroups: dict[int, Cgroup] = {}
        self._settled_at: dict[int, float] = {}  # CLOCK_MONOTONIC, seconds

    def slot_of(self, cgroup: Cgroup) -> int:
        """The slot of a container; a new one for a container not seen before."""
        key = (cgroup.path, cgroup.inode)
        slot = self._slots.get(key)
        if slot is None:
            slot = self._next
            self._given(slot, cgroup.path, cgroup.inode)
            self._slots[key] = slot
            self._next += 1
        if slot not in self._cgroups:
            self._cgroups[slot] = cgroup
            self._settled_at[slot] = time.monotonic() + _SETTLING_SECONDS
        return slot

    def is_settled(self, slot: int) -> bool:
        """Whether what is known about a container is all there is to know.

        On cgroup v1 its directories are made one after the other: at first some may be missing.
        """
        return time.monotonic() >= self._settled_at.get(slot, 0.0)

    def update(self, slot: int, cgroup: Cgroup) -> None:
        """Take note of more that is known about the container of a slot."""
        self._cgroups[slot] = cgroup

    def cgroup_of(self, slot: int) -> Cgroup | None:
        """The container of a slot; None when it is gone, or was not yet found again by this process (`restored`)."""
        return self._cgroups.get(slot)

    def restored(self, slot: int) -> tuple[str, int] | None:
        """The (path, inode) that an earlier process gave this slot to; None when it did not, or it is retired."""
        return self._restored.get(slot)

    def known(self) -> Mapping[tuple[str, int], int]:
        """(path, inode) -> slot of every container that is not retired."""
        return self._slots

    def keep_only(self, alive: Iterable[tuple[str, int]]) -> None:
        """Retire every container whose (path, inode) is not in ``alive``; its number is not used again."""
        for key in self._slots.keys() - set(alive):
            slot = self._slots.pop(key)
            self._cgroups.pop(slot, None)
            self._settled_at.pop(slot, None)
            self._restored.pop(slot, None)
            self._retired(slot)

    def to_json(self) -> dict[str, object]:
        """The table as JSON types."""
        return {"next": self._next, "slots": [[path, inode, slot] for (path, inode), slot in self._slots.items()]}

    def from_json(self, data: object) -> None:
        """Take over what `to_json` gave; anything else leaves the table as it is, with a warning."""
        if data is None:
            return
        try:
            saved = dict(data) if isinstance(data, Mapping) else {}
            slots = {(str(path), int(inode)): int(slot) for path, inode, slot in saved["slots"]}
            following = int(saved["next"])
        except (ValueError, KeyError, TypeError) as error:
            log.warning("the saved table of containers is damaged: %r", error)
            return
        self._slots = slots
        self._restored = {slot: key for key, slot in slots.items()}
        self._next = max(following, 1 + max(slots.values(), default=CALLER_SLOT))
