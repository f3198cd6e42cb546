"""What must be remembered of containers when everybody dies: their slots and their counters.

A file in the state directory, mapped by whoever serves: the keeper's death does not touch it, and a write to memory is
all that it costs. It is thrown away at the next boot, when cgroups have other inode numbers.
"""

from __future__ import annotations

import logging
import marshal
import os
from typing import Any, Final

from procfs_fuse.keeper.records import Records, Room

_ROOMS: Final = (  # 400 bytes with two CPUs, 60 more for each
    Room(8192, 512),
    Room(8192, 1024),
    Room(4096, 4096),
    Room(2048, 1 << 14),
    Room(512, 1 << 16),
)
_NEXT: Final = 1 << 62  # key of the number of the next slot: no slot is that large
_BOOT_ID: Final = (1 << 62) + 1
_MARSHAL: Final = 4  # a version that every Python from 3.4 on reads: an upgrade may bring another one

log = logging.getLogger(__name__)


class Lives:
    """Containers by slot. What finds no room is counted and logged once: those counters start again after a restart."""

    def __init__(self, path: str, proc_root: str = "/proc") -> None:
        """Open or make the file; raises OSError."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(fd).st_size != Records.length(_ROOMS):  # another version's, which takes over no mounts either
                os.ftruncate(fd, 0)
            os.ftruncate(fd, Records.length(_ROOMS))
            self._fd = fd
            self._records = Records(fd, 0, _ROOMS)
        except BaseException:
            os.close(fd)
            raise
        with open(f"{proc_root}/sys/kernel/random/boot_id", "rb") as file:
            self._boot_id = file.read().strip()
        self._known: dict[int, dict[str, Any]] = {}
        self._load()

    @property
    def refused(self) -> int:
        """How often there was no room."""
        return self._records.refused

    def slots(self) -> dict[str, object]:
        """What `SlotTable.from_json` takes."""
        rows = [[life["path"], life["inode"], slot] for slot, life in self._known.items()]
        return {"next": self._next, "slots": rows}

    def histories(self) -> list[object]:
        """What `History.from_json` takes."""
        return [life["history"] for life in self._known.values() if "history" in life]

    def forget_loaded(self) -> None:
        """Free what was loaded, after it has been taken over."""
        self._known.clear()

    def given(self, slot: int, path: str, inode: int) -> None:
        """Remember whose slot this is, before anybody hears of it."""
        self._put(_NEXT, slot + 1)
        self._put(slot, {"path": path, "inode": inode})

    def lived(self, slot: int, path: str, inode: int, history: object) -> None:
        """Remember what a container's counters said, before anybody reads it."""
        self._put(slot, {"path": path, "inode": inode, "history": history})

    def gone(self, slot: int) -> None:
        """Forget a container."""
        self._records.drop(slot)

    def close(self) -> None:
        """Close the file."""
        self._records.close()
        os.close(self._fd)

    def _put(self, key: int, value: Any) -> None:  # noqa: ANN401 - whatever marshal takes
        # marshal, because this happens at every reading of proc/stat: JSON takes ten times as long.
        data = marshal.dumps(value, _MARSHAL)
        if not self._records.put(key, data) and self._records.refused == 1:
            log.warning("no room for the state of containers: counters will start again after a restart")

    def _load(self) -> None:
        found = dict(self._records.items())
        self._next = 1
        if found.get(_BOOT_ID, self._boot_id) != self._boot_id:
            for key in found:
                self._records.drop(key)
            found.clear()
        self._records.put(_BOOT_ID, self._boot_id)
        found.pop(_BOOT_ID, None)
        for key, data in found.items():
            try:
                value = marshal.loads(data)  # noqa: S302 - root's own file
                if key == _NEXT:
                    self._next = int(value)
                else:
                    self._known[key] = {"path": str(value["path"]), "inode": int(value["inode"]), **value}
            except (ValueError, KeyError, TypeError, EOFError) as error:
                log.warning("dropping a damaged record of a container: %s", error)
                self._records.drop(key)
