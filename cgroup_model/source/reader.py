"""Reads and writes control files."""

from __future__ import annotations

import errno
import math
import os
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Final, Self, TypeVar

from cgroup_model.remembered import UNKNOWN, Remembered
from cgroup_model.source.absent import Absent
from cgroup_model.source.answers import CgroupGone, Missing
from cgroup_model.source.descriptors import Descriptors, default_budget
from cgroup_model.source.records import Parse, Record

READ_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
WRITE_FLAGS: Final = os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW
FIRST_READ: Final = 8192  # bytes; memory.stat has 1.5 to 3 KiB
NEXT_READ: Final = 1 << 16
LONGEST_RECORD: Final = 64  # bytes; of files the kernel writes in records (lists of pids: 11)

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class SourceStats:
    """How many descriptors are held, and how many may be."""

    open_descriptors: int
    directories: int
    budget: int


class Source:
    """Reads and writes control files; safe to share between threads.

    ``budget`` is the number of descriptors to keep (0: every read opens and closes). A file that was not there
    is not looked for again in the same directory for ``absent_seconds``, since records have many optional ones; nor is
    the directory listed again. ``settled_seconds``: see `Descriptors`. With ``remember``, see `record` and `settings`.
    """

    def __init__(
        self,
        budget: int | None = None,
        *,
        absent_seconds: float = 1.0,
        settled_seconds: float = 0.0,
        remember: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._absent = Absent(absent_seconds, clock)
        self._records: dict[str, dict[Parse, Record]] = {}
        self._remembered = Remembered() if remember else None
        self._kept = Descriptors(
            default_budget() if budget is None else budget, settled_seconds, clock, self._forget_read
        )
        self.opened = 0
        """How many descriptors were opened so far: while it stays the same, all that is read was open before."""
        self._looks = 0  # at files that are not remembered as settings
        self._lock = threading.Lock()
        # A shorter read than this is the whole file (see _read_rest).
        self._whole = min(FIRST_READ, os.sysconf("SC_PAGE_SIZE")) - LONGEST_RECORD

    def read(self, directory: str, name: str) -> bytes:
        """Read the whole file as it is now.

        Raises `Missing` when only the file is not there, `CgroupGone` when the directory is not, and OSError.
        """
        with self._lock:
            self._looks += 1
            descriptor = self._kept.of(directory).get(name)
            if descriptor is None:
                return self._read_new(directory, name)
            return self._read_kept(directory, descriptor)

    def read_all(self, directory: str, names: Sequence[str], *, keep: bool = True) -> tuple[bytes | None, ...]:
        """Read several files of one directory as they are now; None for each that is not there.

        Raises `CgroupGone`, and OSError. Without ``keep`` files that are not open already are not kept open.
        """
        found: list[bytes | None] = []
        with self._lock:
            self._looks += 1
            kept = self._kept.of(directory)
            for name in names:
                descriptor = kept.get(name)
                if descriptor is None:
                    found.append(self._read_if_there(directory, name, keep=keep))
                    kept = self._kept.of(directory)
                else:
                    found.append(self._read_kept(directory, descriptor))
        return tuple(found)

    def record(self, directory: str, names: tuple[str, ...], parse: Callable[..., Value], *more: object) -> Value:
        """Read several files and parse them: ``parse(*contents, *more)``, None for a file that is not there.

        The same contents may give the very same record as before, so it must be a frozen one. Errors as `read_all`
        and ``parse``.
        """
        if self._remembered is None:
            return parse(*self.read_all(directory, names), *more)
        with self._lock:
            self._looks += 1
            known = self._records[directory].get(parse) if directory in self._records else None
            raw = self._read_again(directory, known) if known is not None and known.names == names else None
        in_one_go = raw is not None
        if raw is None:
            raw = list(self.read_all(directory, names))
        value: Value
        if known is not None and known.raw == raw and known.more == more:
            value = known.value
            if in_one_go:
                return value
        else:
            value = parse(*raw, *more)
        with self._lock:
            self._records.setdefault(directory, {})[parse] = self._recorded(directory, names, raw, more, value)
        return value

    def settings(
        self, directory: str, names: tuple[str, ...], parse: Callable[..., Value], *, inherited: bool = False
    ) -> Value:
        """Do the same with files that only a write can change; they are read when somebody wrote in the directory.

        ``inherited``: or in one of an ancestor, all of which are watched because their settings are asked for as well.
        """
        if self._remembered is None:
            return parse(*self.read_all(directory, names))
        key = (names, parse)
        value: Value = self._remembered.setting(directory, key, inherited=inherited)
        if value is UNKNOWN:
            watched = self._remembered.watch(directory)
            value = parse(*self.read_all(directory, names, keep=not watched))
            if watched:
                self._remembered.put_setting(directory, key, value, inherited=inherited)
        return value

    def derived(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """Work something out; of nothing but remembered settings only once, until one of them is written.

        ``key`` stands for the question, with everything beside the settings that the answer depends on.
        """
        if self._remembered is None:
            return make()
        value: Value = self._remembered.derived(key)
        if value is UNKNOWN:
            looks = self._looks
            value = make()
            if looks == self._looks:
                self._remembered.put_derived(key, value)
        return value

    def refresh(self) -> None:
        """Take in what was written: what is read from now on is not older than this moment."""
        self._kept.refresh()
        if self._remembered is not None:
            self._remembered.refresh()

    def clear_settings(self) -> None:
        """Read all settings anew: the machine itself changed."""
        if self._remembered is not None:
            self._remembered.clear_settings()

    def open(self, directory: str, name: str) -> int:
        """Open a file for reading and writing; errors as `read`. The descriptor is the caller's."""
        try:
            return os.open(_join(directory, name), os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            with self._lock:
                missing = isinstance(error, FileNotFoundError)
                raise (self._not_found(directory, name) if missing else self._gone(directory, error)) from error

    def write(self, directory: str, name: str, data: bytes) -> None:
        """Write ``data`` in one go, as control files demand; errors as `read`, and what the kernel says to it."""
        try:
            descriptor = os.open(_join(directory, name), WRITE_FLAGS)
        except OSError as error:
            with self._lock:
                missing = isinstance(error, FileNotFoundError)
                raise (self._not_found(directory, name) if missing else self._gone(directory, error)) from error
        try:
            os.write(descriptor, data)  # not under the lock: lowering a memory limit waits for reclaim
        except OSError as error:
            with self._lock:
                raise self._gone(directory, error) from error
        finally:
            os.close(descriptor)

    def names(self, directory: str) -> tuple[str, ...]:
        """List everything in the directory, in no order, as it was ``absent_seconds`` ago at most.

        Raises `CgroupGone`, and OSError.
        """
        with self._lock:
            self._looks += 1
            names = self._absent.names(directory)
            if names is not None:
                return names
            try:
                names = tuple(os.listdir(directory))
            except OSError as error:
                missing = isinstance(error, FileNotFoundError)
                raise (self._not_found(directory, "") if missing else self._gone(directory, error)) from error
            self._absent.note_names(directory, names)
            return names

    def forget(self, directory: str) -> None:
        """Drop what is kept of one directory."""
        with self._lock:
            self._kept.drop(directory)

    def close(self) -> None:
        """Drop everything; the source can still be used."""
        with self._lock:
            self._absent.clear()
            self._records.clear()
            for directory in list(self._kept):
                self._kept.drop(directory)
            if self._remembered is not None:
                self._remembered.close()

    @property
    def remembers(self) -> bool:
        """Whether settings and records are remembered."""
        return self._remembered is not None

    @property
    def stats(self) -> SourceStats:
        """What is held at this moment."""
        return SourceStats(self._kept.count, len(self._kept), self._kept.budget)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read_kept(self, directory: str, descriptor: int) -> bytes:
        try:
            data = os.pread(descriptor, FIRST_READ, 0)
            return data if len(data) < self._whole else _read_rest(descriptor, data)
        except OSError as error:
            raise self._gone(directory, error) from error

    def _read_if_there(self, directory: str, name: str, *, keep: bool) -> bytes | None:
        if self._absent.has(directory, name):
            return None
        try:
            return self._read_new(directory, name, may_keep=keep)
        except Missing:
            return None

    def _read_new(self, directory: str, name: str, *, may_keep: bool = True) -> bytes:
        """Read a file that is not kept, and keep it when the budget allows."""
        if self._absent.has(directory, name):
            raise Missing(name)
        descriptor = self._open(directory, name)
        self.opened += 1
        keep = False
        try:
            data = os.pread(descriptor, FIRST_READ, 0)
            if len(data) >= self._whole:
                data = _read_rest(descriptor, data)
            keep = may_keep and self._kept.keep(directory, name, descriptor)
        except OSError as error:
            raise self._gone(directory, error) from error
        finally:
            if not keep:
                os.close(descriptor)
        return data

    def _read_again(self, directory: str, known: Record) -> list[bytes | None] | None:
        """Read the files of a record in one go; None when they must be read one by one."""
        if known.descriptors is None or (known.good_until != math.inf and self._clock() >= known.good_until):
            return None
        if not known.names:
            return []
        self._kept.touch(directory)
        pread = os.pread
        try:
            raw = [None if one is None else pread(one, FIRST_READ, 0) for one in known.descriptors]
        except OSError as error:
            raise self._gone(directory, error) from error
        if raw != known.raw and any(data is not None and len(data) >= self._whole for data in raw):
            return None
        return raw

    def _recorded(
        self,
        directory: str,
        names: tuple[str, ...],
        raw: list[bytes | None],
        more: tuple[object, ...],
        value: object,
    ) -> Record:
        """Note what was made of which bytes, and how to read them again in one go, if they can be."""
        kept = self._kept.of(directory)
        descriptors = tuple(map(kept.get, names))
        missing = [name for name, data in zip(names, raw, strict=True) if data is None]
        short = all(data is None or len(data) < self._whole for data in raw)
        complete = short and len(missing) == descriptors.count(None)
        until = min((self._absent.until(directory, name) for name in missing), default=math.inf)
        return Record(names, raw, more, value, descriptors if complete else None, until)

    def _open(self, directory: str, name: str) -> int:
        path = _join(directory, name)
        try:
            return os.open(path, READ_FLAGS)
        except FileNotFoundError as error:
            raise self._not_found(directory, name) from error
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE) or not len(self._kept):
                raise self._gone(directory, error) from error
        # The process ran out of descriptors: give some back, keep fewer from now on.
        self._kept.keep_fewer()
        return os.open(path, READ_FLAGS)

    def _forget_read(self, directory: str) -> None:
        """Forget what was read in a directory whose descriptors are closed."""
        self._absent.forget(directory)
        self._records.pop(directory, None)
        if self._remembered is not None:
            self._remembered.forget(directory)

    def _gone(self, directory: str, error: OSError) -> Exception:
        """Choose what to raise for ``error``: an open file of a removed cgroup answers ENODEV (kernfs_get_active)."""
        if error.errno not in (errno.ENODEV, errno.ENOTDIR):
            return error
        self._kept.drop(directory)
        return CgroupGone(directory)

    def _not_found(self, directory: str, name: str) -> Exception:
        if not os.path.isdir(directory):
            self._kept.drop(directory)
            return CgroupGone(directory)
        self._absent.note(directory, name)
        return Missing(name)


def _read_rest(descriptor: int, data: bytes) -> bytes:
    """Read on to the end of a file that did not fit.

    seq_file hands out a file of one record whole, and fills a page of a file of many records as long as the
    next one fits: only a read that comes close to a page, or to what was asked, may have a continuation.
    """
    parts = [data]
    offset = len(data)
    while part := os.pread(descriptor, NEXT_READ, offset):
        parts.append(part)
        offset += len(part)
    return b"".join(parts)


def _join(directory: str, name: str) -> str:
    if not name or name in (".", "..") or "/" in name or "\0" in name:
        raise ValueError(f"not the name of a control file: {name!r}")
    return f"{directory}/{name}"
