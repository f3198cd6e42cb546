"""What the helper process does at a container's root: mount, replace and remove files of ours.

Nothing that is mounted is asked anything but `_is_dead`: which mount is on a path comes from fdinfo and mountinfo.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from procfs_fuse import syscalls
from procfs_fuse.attach import mountfd, mountinfo
from procfs_fuse.attach.mountinfo import MountLine
from procfs_fuse.attach.outcome import Fate, Notes
from procfs_fuse.attach.sources import Clone, Places

_NATIVE: Final = {"proc": "proc", "sys": "sysfs"}  # first folder -> what a container has there
_MOST_LAYERS: Final = 8  # of dead mounts on one path: each restart of a server may have left one
_NO_SUCH_PATH: Final = frozenset({errno.ENOENT, errno.ENOTDIR})


class Unfinished(Exception):
    """A file could not be mounted; what had been mounted before was taken back."""


@dataclass(slots=True)
class Attacher:
    """Mounts clones. ``host_peers`` are groups in which a mount would appear on the host, too."""

    proc: int  # descriptor of the machine's procfs
    places: Places
    host_peers: frozenset[int]
    left_alone: frozenset[str] = frozenset()  # first folders in which nothing is to be mounted
    base: str = ""  # the container's root, where that is not the caller's yet; without links
    notes: Notes = field(default_factory=Notes)
    _lines: dict[int, MountLine] = field(default_factory=dict)

    def know(self, lines: Iterable[MountLine]) -> None:
        """Be told the caller's mounts; others are looked for."""
        self._lines = {line.id: line for line in lines}

    def put_all(self, clones: Iterable[Clone]) -> None:
        """Mount every clone that is not there already. Raises `Unfinished` after taking back what was mounted."""
        for clone in clones:
            try:
                self._put(clone)
            except OSError as error:
                self._take_back()
                raise Unfinished(f"{clone.target}: {error.strerror or error}") from error
        self._verify()

    def _put(self, clone: Clone) -> None:
        if clone.target.split("/")[1] in self.left_alone:
            self.notes.add(clone.target, Fate.SKIPPED, "nested containers need a pristine one")
            return None
        fate, path = Fate.MOUNTED, f"{self.base}{clone.target}"
        for _ in range(_MOST_LAYERS):
            try:
                place = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
            except OSError as error:
                if error.errno not in _NO_SUCH_PATH:
                    raise
                return self.notes.add(clone.target, Fate.MISSING)
            try:
                line = self._line_of(place)
                if not (line.is_ours and line.mountpoint == path):
                    return self._cover(clone, place, line, fate)
                if line.device in self.places.devices and line.root in {clone.root, clone.target}:
                    return self.notes.add(clone.target, Fate.KEPT)
                beneath = self._slip_beneath(clone, place, line)
            finally:
                os.close(place)
            syscalls.umount(path, syscalls.MNT_DETACH)
            del self._lines[line.id]
            fate = Fate.REPAIRED
            if beneath:
                return self.notes.add(clone.target, fate)
        raise OSError(errno.EBUSY, "there is one dead mount below another")

    def _slip_beneath(self, clone: Clone, place: int, line: MountLine) -> bool:
        """Mount the clone below the last old one of ours, where the kernel can: nobody sees what that had covered."""
        others = (one for one in self._lines.values() if one.mountpoint == line.mountpoint and one.id != line.id)
        if not (clone.detached and clone.restricted) or any(one.is_ours for one in others):
            return False
        return mountfd.put_beneath(clone.descriptor, place, clone.target)

    def _cover(self, clone: Clone, place: int, line: MountLine, fate: Fate) -> None:
        """Mount the clone over what is there, unless that is hidden on purpose, or not the container's own."""
        covered = line.mountpoint == f"{self.base}{clone.target}"
        status = os.stat(place) if not line.fstype.startswith("fuse") else None
        if covered and (line.fstype == "tmpfs" or (status is not None and stat.S_ISCHR(status.st_mode))):
            return self.notes.add(clone.target, Fate.MASKED, f"by {line.fstype}")
        if not covered and line.fstype != _NATIVE.get(clone.target.split("/")[1]):
            return self.notes.add(clone.target, Fate.SKIPPED, f"{line.mountpoint} is {line.fstype}")
        if line.peers in self.host_peers:
            return self.notes.add(clone.target, Fate.SKIPPED, f"{line.mountpoint} is shared with the host")
        if clone.detached:
            mountfd.put(clone.descriptor, place, clone.target)
        else:
            syscalls.mount(f"/proc/self/fd/{clone.descriptor}", f"/proc/self/fd/{place}", flags=syscalls.MS_BIND)
        if not clone.restricted:
            restrict(f"{self.base}{clone.target}", clone.flags)
        return self.notes.add(clone.target, fate, f"over {line.fstype}" if covered else "")

    def _take_back(self) -> None:
        for path in self.notes.paths({Fate.MOUNTED, Fate.REPAIRED}):
            with contextlib.suppress(OSError):
                syscalls.umount(f"{self.base}{path}", syscalls.MNT_DETACH)

    def _verify(self) -> None:
        """Look whether they are there: the container may have mounted another /proc meanwhile."""
        present = {line.mountpoint for line in mountinfo.own_of_ours(self.proc)}
        lost = [path for path in self.notes.paths({Fate.MOUNTED, Fate.REPAIRED}) if f"{self.base}{path}" not in present]
        if lost:
            self._take_back()
            raise Unfinished(f"{lost[0]} was mounted and is gone: the container is still setting up its mounts")

    def _line_of(self, place: int) -> MountLine:
        number = mountinfo.id_of(self.proc, place)
        if number not in self._lines:
            self.know(mountinfo.own(self.proc))
        if number not in self._lines:
            raise OSError(errno.ENOENT, "it is in a mount outside of the container's root")
        return self._lines[number]


def restrict(path: str, flags: int) -> None:
    """Restrict what was just mounted at ``path``, on kernels that cannot restrict a clone. Raises OSError."""
    try:
        syscalls.mount("", path, flags=syscalls.MS_REMOUNT | syscalls.MS_BIND | flags)
    except OSError:
        syscalls.umount(path, syscalls.MNT_DETACH)  # never leave an unrestricted one behind
        raise


@dataclass(slots=True)
class Detacher:
    """Removes the mounts that are ``wanted``."""

    proc: int
    wanted: Callable[[MountLine], bool]
    notes: Notes = field(default_factory=Notes)

    def remove_all(self) -> None:
        """Unmount; what is busy goes with its last user. Raises OSError."""
        wanted = [line for line in mountinfo.own(self.proc) if self.wanted(line)]
        numbers = {line.id for line in wanted}
        for line in reversed(wanted):
            # Where /proc/sys is a bind of a shared /proc (systemd-nspawn), a mount in one of them is in the other one,
            # too, and both go at once: what is seen there then is not ours.
            if self._mount_at(line.mountpoint) in numbers:
                syscalls.umount(line.mountpoint, syscalls.MNT_DETACH)
                self.notes.add(line.mountpoint, Fate.DETACHED)

    def _mount_at(self, path: str) -> int | None:
        """The number of the mount that is seen at ``path``; None where nothing is."""
        try:
            place = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            if error.errno not in _NO_SUCH_PATH:
                raise
            return None
        try:
            return mountinfo.id_of(self.proc, place)
        finally:
            os.close(place)


def is_dead(path: str) -> bool:
    """Whether a mount of ours has no server any more. Waits for ever for a server that hangs."""
    try:
        os.statvfs(path)  # the one question that the kernel always passes on (fuse_statfs)
    except OSError as error:
        return error.errno == errno.ENOTCONN
    return False
