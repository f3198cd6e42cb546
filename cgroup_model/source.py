"""The only opener of control files: descriptors are kept and read again with pread.

A read of a kept descriptor costs one system call, an open costs three and a path walk. What is kept is
bounded by RLIMIT_NOFILE and by memory: an open kernfs file that was read once holds a page of kernel
memory. Directories are dropped whole, the one that was read longest ago first.
"""

from __future__ import annotations

import errno
import os
import resource
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

from cgroup_model.remembered import UNKNOWN, Remembered

READ_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
WRITE_FLAGS = os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW
RESERVED_DESCRIPTORS = 512  # left to the rest of the process: sockets, mounts, logs
MOST_DESCRIPTORS = 8192  # 32 MiB of kernel memory with 4 KiB pages
FIRST_READ = 8192  # bytes; memory.stat has 1.5 to 3 KiB
NEXT_READ = 1 << 16
LONGEST_RECORD = 64  # bytes; of files the kernel writes in records (lists of pids: 11)

Value = TypeVar("Value")


class Missing(Exception):
    """The cgroup is there, but this kernel or controller gives it no such file."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class CgroupGone(Exception):
    """The cgroup was removed."""

    def __init__(self, directory: str) -> None:
        super().__init__(directory)
        self.directory = directory


@dataclass(frozen=True, slots=True)
class SourceStats:
    """How many descriptors are held, and how many may be."""

    open_descriptors: int
    directories: int
    budget: int


def default_budget() -> int:
    """Raise the soft RLIMIT_NOFILE to the hard one and take what it allows, less a reserve."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
        except (ValueError, OSError):  # not allowed, e.g. by seccomp: live with the soft limit
            pass
    if soft == resource.RLIM_INFINITY:
        return MOST_DESCRIPTORS
    return max(0, min(MOST_DESCRIPTORS, soft - RESERVED_DESCRIPTORS))


class Source:
    """Reads and writes control files; safe to share between threads.

    ``budget`` is the number of descriptors to keep (0: every read opens and closes). A file that was not there
    is not looked for again in the same directory for ``absent_seconds``, since records have many optional ones; nor is
    the directory listed again.
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
        self._budget = default_budget() if budget is None else budget
        self._absent_seconds = absent_seconds
        self._settled_seconds = settled_seconds
        self._clock = clock
        self._used: dict[str, float] = {}  # directory -> when it was read last; only with settled_seconds
        self._kept: OrderedDict[str, dict[str, int]] = OrderedDict()
        self._absent: dict[str, dict[str, float]] = {}
        self._listed: dict[str, tuple[float, tuple[str, ...]]] = {}
        self._touched = ""  # the directory that was read last
        self._remembered = Remembered() if remember else None
        self._count = 0
        self.opened = 0
        """How many descriptors were opened so far: while it stays the same, all that is read was open before."""
        self._lock = threading.Lock()
        # A shorter read than this is the whole file (see _read_rest).
        self._whole = min(FIRST_READ, os.sysconf("SC_PAGE_SIZE")) - LONGEST_RECORD

    def read(self, directory: str, name: str) -> bytes:
        """Read the whole file as it is now.

        Raises `Missing` when only the file is not there, `CgroupGone` when the directory is not, and OSError.
        """
        with self._lock:
            try:
                descriptor = self._kept[directory][name]
            except KeyError:
                return self._read_new(directory, name)
            if directory != self._touched:
                self._touch(directory)
            try:
                data = os.pread(descriptor, FIRST_READ, 0)
                return data if len(data) < self._whole else _read_rest(descriptor, data)
            except OSError as error:
                raise self._gone(directory, error) from error

    def read_all(self, directory: str, names: Sequence[str], *, keep: bool = True) -> tuple[bytes | None, ...]:
        """Read several files of one directory as they are now; None for each that is not there.

        Raises `CgroupGone`, and OSError. Without ``keep`` files that are not open already are not kept open.
        """
        found: list[bytes | None] = []
        with self._lock:
            kept = self._kept.get(directory)
            if kept is not None and directory != self._touched:
                self._touch(directory)
            for name in names:
                descriptor = kept.get(name) if kept is not None else None
                if descriptor is None:
                    found.append(self._read_if_there(directory, name, keep=keep))
                    kept = self._kept.get(directory)
                    continue
                try:
                    data = os.pread(descriptor, FIRST_READ, 0)
                    found.append(data if len(data) < self._whole else _read_rest(descriptor, data))
                except OSError as error:
                    raise self._gone(directory, error) from error
        return tuple(found)

    def record(self, directory: str, names: tuple[str, ...], parse: Callable[..., Value], *more: object) -> Value:
        """Read several files and parse them: ``parse(*contents, *more)``, None for a file that is not there.

        The same contents may give the very same record as before, so it must be a frozen one. Errors as `read_all`
        and ``parse``.
        """
        raw = (*self.read_all(directory, names), *more)
        if self._remembered is None:
            return parse(*raw)
        value: Value = self._remembered.record(directory, parse, raw)
        if value is UNKNOWN:
            value = parse(*raw)
            self._remembered.put_record(directory, parse, raw, value)
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

    def refresh(self) -> None:
        """Take in what was written: what is read from now on is not older than this moment."""
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
            now = self._clock()
            listed = self._listed.get(directory)
            if listed is not None and now - listed[0] < self._absent_seconds:
                return listed[1]
            try:
                names = tuple(os.listdir(directory))
            except OSError as error:
                missing = isinstance(error, FileNotFoundError)
                raise (self._not_found(directory, "") if missing else self._gone(directory, error)) from error
            if len(self._listed) >= MOST_DESCRIPTORS:  # of cgroups that came and went
                self._listed.clear()
            self._listed[directory] = (now, names)
            return names

    def forget(self, directory: str) -> None:
        """Drop what is kept of one directory."""
        with self._lock:
            self._drop(directory)

    def close(self) -> None:
        """Drop everything; the source can still be used."""
        with self._lock:
            self._absent.clear()
            self._listed.clear()
            while self._kept:
                self._drop(next(iter(self._kept)))
            if self._remembered is not None:
                self._remembered.close()

    @property
    def stats(self) -> SourceStats:
        """What is held at this moment."""
        return SourceStats(self._count, len(self._kept), self._budget)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read_if_there(self, directory: str, name: str, *, keep: bool) -> bytes | None:
        absent = self._absent.get(directory)
        if absent is not None and name in absent and self._clock() - absent[name] < self._absent_seconds:
            return None
        try:
            return self._read_new(directory, name, may_keep=keep)
        except Missing:
            return None

    def _read_new(self, directory: str, name: str, *, may_keep: bool = True) -> bytes:
        """Read a file that is not kept, and keep it when the budget allows."""
        absent = self._absent.get(directory)
        if absent is not None and name in absent and self._clock() - absent[name] < self._absent_seconds:
            raise Missing(name)
        descriptor = self._open(directory, name)
        self.opened += 1
        keep = False
        try:
            data = os.pread(descriptor, FIRST_READ, 0)
            if len(data) >= self._whole:
                data = _read_rest(descriptor, data)
            keep = may_keep and self._keep(directory, name, descriptor)
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
            if error.errno not in (errno.EMFILE, errno.ENFILE) or not self._kept:
                raise self._gone(directory, error) from error
        # The process ran out of descriptors: give some back, keep fewer from now on.
        self._budget = self._count // 2
        self._shrink(self._budget)
        return os.open(path, READ_FLAGS)

    def _keep(self, directory: str, name: str, descriptor: int) -> bool:
        if not self._budget or (self._count >= self._budget and self._is_settled()):
            return False
        self._shrink(self._budget - 1)
        self._kept.setdefault(directory, {})[name] = descriptor
        self._touch(directory)
        self._count += 1
        return True

    def _touch(self, directory: str) -> None:
        self._touched = directory
        self._kept.move_to_end(directory)
        if self._settled_seconds:
            self._used[directory] = self._clock()

    def _is_settled(self) -> bool:
        """Tell whether even the directory that was read longest ago is still in use."""
        if not self._settled_seconds:
            return False
        return self._clock() - self._used[next(iter(self._kept))] < self._settled_seconds

    def _shrink(self, count: int) -> None:
        while self._count > count:
            self._drop(next(iter(self._kept)))

    def _drop(self, directory: str) -> None:
        self._absent.pop(directory, None)
        self._listed.pop(directory, None)
        self._used.pop(directory, None)
        if self._touched == directory:
            self._touched = ""
        if self._remembered is not None:
            self._remembered.forget(directory)
        descriptors = self._kept.pop(directory, {})
        self._count -= len(descriptors)
        for descriptor in descriptors.values():
            os.close(descriptor)

    def _gone(self, directory: str, error: OSError) -> Exception:
        """Choose what to raise for ``error``: an open file of a removed cgroup answers ENODEV (kernfs_get_active)."""
        if error.errno not in (errno.ENODEV, errno.ENOTDIR):
            return error
        self._drop(directory)
        return CgroupGone(directory)

    def _not_found(self, directory: str, name: str) -> Exception:
        if not os.path.isdir(directory):
            self._drop(directory)
            return CgroupGone(directory)
        if len(self._absent) > MOST_DESCRIPTORS:  # of cgroups that came and went
            self._absent.clear()
        self._absent.setdefault(directory, {})[name] = self._clock()
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
