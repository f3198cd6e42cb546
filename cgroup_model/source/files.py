"""Control files: opened once, read again and again, written."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Self

from cgroup_model.source.absent import Absent
from cgroup_model.source.answers import CgroupGone, Missing
from cgroup_model.source.descriptors import Descriptors, default_budget

READ_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
WRITE_FLAGS: Final = os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW
FIRST_READ: Final = 8192  # bytes; memory.stat has 1.5 to 3 KiB
NEXT_READ: Final = 1 << 16
LONGEST_RECORD: Final = 64  # bytes; of files the kernel writes in records (lists of pids: 11)


@dataclass(frozen=True, slots=True)
class SourceStats:
    """How many descriptors are held, and how many may be."""

    open_descriptors: int
    directories: int
    budget: int


class Files:
    """Reads and writes control files; safe to share between threads.

    ``budget`` is the number of descriptors to keep (0: every read opens and closes). A file that was not there
    is not looked for again in the same directory for ``absent_seconds``, since records have many optional ones; nor is
    the directory listed again. ``settled_seconds``: see `Descriptors`.
    """

    def __init__(
        self,
        budget: int | None = None,
        *,
        absent_seconds: float = 1.0,
        settled_seconds: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._absent = Absent(absent_seconds, clock)
        self._kept = Descriptors(
            default_budget() if budget is None else budget, settled_seconds, clock, self._forgotten
        )
        self.opened = 0
        """How many descriptors were opened so far: while it stays the same, all that is read was open before."""
        self._looks = 0
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
            for directory in list(self._kept):
                self._kept.drop(directory)

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

    def _forgotten(self, directory: str) -> None:
        """Forget what is known of a directory whose descriptors are closed."""
        self._absent.forget(directory)

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
