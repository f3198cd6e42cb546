"""What need not be read again: settings that nobody wrote to.

A setting (a limit, a weight) changes only when somebody writes to its file, and the kernel tells whoever watches the
directory of every write (vfs_write, fsnotify_modify); all mounts of a hierarchy share one superblock, so also of those
through another mount or from inside of a cgroup namespace. The event is queued before write(2) returns: a setting
that was changed before `refresh` is read anew after it. Watches cost the kernel about a kilobyte each.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Collection, Hashable, Iterable
from typing import Any, Final

from cgroup_model.inotify import Inotify

UNKNOWN: Final = object()
"""Nothing is remembered."""

_MOST_DERIVED: Final = 16384
_MOST_CHANGES: Final = 1024  # directories in which somebody wrote, or which are watched no more

log = logging.getLogger(__name__)


class _Changes:
    """Directories in which somebody wrote, as hashes. Most that are asked about have the same few above them."""

    def __init__(self, directories: Iterable[int]) -> None:
        self.directories = frozenset(directories)
        self._above: dict[str, bool] = {}

    def reach(self, directory: str) -> bool:
        """Tell whether somebody wrote in a directory, or in one above it."""
        if hash(directory) in self.directories:
            return True
        above = directory[: directory.rfind("/")]
        if above and above not in self._above:
            self._above[above] = self.reach(above)
        return bool(above) and self._above[above]


class Remembered:
    """Settings by directory. Not for use by several threads at once. Without inotify nothing is remembered."""

    def __init__(self) -> None:
        self._inotify = _open_inotify()
        self._settings: dict[str, dict[Hashable, Any]] = {}
        self._derived: dict[Hashable, Any] = {}
        self._directories: dict[int, str] = {}  # inotify's number -> directory
        self._numbers: dict[str, int] = {}
        self.version = 0
        """How often settings changed or were forgotten; see `same_since`."""
        # What changed with each version: directories, as hashes, since most are gone, and nothing is to tell of them.
        self._changed: deque[tuple[int, int]] = deque(maxlen=_MOST_CHANGES)
        self._known_since = 0  # version after which all changes are known
        # Between which versions somebody asked for changes last, and these: most askers ask the same.
        self._asked: tuple[tuple[int, int], _Changes] = ((0, 0), _Changes(()))

    def setting(self, directory: str, key: Hashable) -> Any:  # noqa: ANN401 - what was put there
        """Give a setting that is what it was: nobody wrote there, nor in a directory above; else `UNKNOWN`."""
        known = self._settings.get(directory)
        return UNKNOWN if known is None else known.get(key, UNKNOWN)

    def watch(self, directory: str) -> bool:
        """Watch a directory from now on: before its settings are read. False: they cannot be remembered."""
        if directory in self._settings:
            return True
        if self._inotify is None:
            return False
        try:
            number = self._inotify.add_writes(directory)
        except OSError as error:
            log.debug("settings in %s are read each time: %s", directory, error)
            return False
        self._directories[number], self._numbers[directory] = directory, number
        self._settings[directory] = {}
        return True

    def put_setting(self, directory: str, key: Hashable, value: object) -> None:
        """Remember a setting of a watched directory."""
        self._settings[directory][key] = value

    def derived(self, key: Hashable) -> Any:  # noqa: ANN401 - as above
        """Give what was worked out of settings, while all of them are what they were, else `UNKNOWN`."""
        return self._derived.get(key, UNKNOWN)

    def put_derived(self, key: Hashable, value: object) -> None:
        """Remember what was worked out of nothing but settings that are remembered."""
        if len(self._derived) >= _MOST_DERIVED:
            self._derived.clear()
        self._derived[key] = value

    def refresh(self) -> list[str]:
        """Forget the settings of directories in which somebody wrote, and of all below these; return these directories.

        What is below inherits some, and may have files now that it had not: who switches a controller on writes above.
        """
        if self._inotify is None or not self._inotify.is_waiting():
            return []
        written: set[str] = set()
        for event in self._inotify.read():
            if event.overflow:
                written.update(self._settings)
            elif event.ignored:
                self.forget(self._directories.pop(event.watch, ""))
            elif (directory := self._directories.get(event.watch)) is not None:
                written.add(directory)
        if not written:
            return []
        self._note(written)
        changes = _Changes(map(hash, written))
        reached = [directory for directory in self._settings if changes.reach(directory)]
        for directory in reached:
            self._settings[directory].clear()
        return reached

    def clear_settings(self) -> None:
        """Forget all settings: something happened that changes them without a write."""
        self._note(())
        self._known_since = self.version
        for settings in self._settings.values():
            settings.clear()

    def forget(self, directory: str) -> None:
        """Forget a directory and its watch: it is gone, or somebody else's now."""
        if self._settings.pop(directory, None) is not None:
            self._note((directory,))  # something of what was worked out may be of this directory
        number = self._numbers.pop(directory, None)
        if number is not None and self._inotify is not None:
            self._directories.pop(number, None)
            self._inotify.remove(number)

    def close(self) -> None:
        """Forget everything and stop watching."""
        self.clear_settings()
        self._settings.clear()
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None

    def same_since(self, version: int, directories: Collection[str]) -> bool:
        """Tell whether settings in these directories and above them are what they were when this was the version."""
        if version < self._known_since:
            return False
        since = (version, self.version)
        if self._asked[0] != since:
            self._asked = since, _Changes(directory for when, directory in self._changed if when > version)
        changes = self._asked[1]
        return not changes.directories or not any(map(changes.reach, directories))

    def _note(self, directories: Iterable[str]) -> None:
        """Something changed: forget what was worked out of it."""
        self._derived.clear()
        self.version += 1
        for directory in directories:
            if len(self._changed) == _MOST_CHANGES:
                self._known_since = self._changed[0][0]
            self._changed.append((self.version, hash(directory)))


def _open_inotify() -> Inotify | None:
    try:
        return Inotify()
    except OSError as error:
        log.info("settings are read each time: no inotify: %s", error.strerror)
        return None
