"""Reads the engines' own files: bounded, cached, and never out of the given root.

Engines write these files as root, but a rootless engine's are its user's to shape: they may be links, pipes or
devices, and hold anything. What is read is a regular file, of that user, of at most `MOST_BYTES`.
"""

from __future__ import annotations

import errno
import json
import os
import pwd
import stat
import time
from collections import OrderedDict
from collections.abc import Callable
from itertools import islice
from typing import Any, Final, TypeVar

from cgroup_model.record import dataclass

MOST_BYTES: Final = 8 << 20  # containers.json has about 1 KiB per container
MOST_NAMES: Final = 20_000  # of one directory
MOST_KEPT: Final = 256
RECHECK_SECONDS: Final = 2.0
_SETTLED_NSEC: Final = (
    1_000_000_000  # a directory's time moves in steps: of entries made in the same step it tells none
)
_MOST_LINKS: Final = 40  # as in the kernel: MAXSYMLINKS, include/linux/namei.h
_ABSENT: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG})

T = TypeVar("T")


class Unreadable(Exception):
    """A file is there but tells nothing; the text says which and why."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"cannot read {path}: {reason}")


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who may run a rootless engine."""

    uid: int
    name: str
    home: str


@dataclass(slots=True)
class _Kept:
    checked_at: float
    signature: tuple[int, int, int] | None  # inode, mtime in ns, size; None: there is no such file
    value: Any  # what was parsed, or why it could not be


class Files:
    """Engine files below ``root``, which stands for ``/``: symbolic links are followed inside of it.

    What several containers share is kept, and looked at again at most every `RECHECK_SECONDS` of ``clock``.
    """

    def __init__(self, root: str, clock: Callable[[], float]) -> None:
        """Open nothing yet."""
        self.root = root.rstrip("/")
        self._clock = clock
        self._kept: OrderedDict[tuple[str, object], _Kept] = OrderedDict()

    def read(self, path: str, owner: User | None = None) -> bytes | None:
        """Read a whole regular file; None when there is none. Raises `Unreadable`.

        What is below a user's home or run-time directory must belong to that ``owner``.
        """
        try:
            # A handle first: opening for reading would act on devices and wait for pipes.
            handle = os.open(self.inside(path), os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                return _contents(handle, path, owner)
            finally:
                os.close(handle)
        except OSError as error:
            if error.errno in _ABSENT:
                return None
            raise Unreadable(path, error.strerror or str(error)) from None
        except ValueError:  # a NUL or a lone surrogate: no file has such a name
            return None

    def json(self, path: str, owner: User | None = None) -> Any:  # noqa: ANN401 - a document may be anything
        """Read a JSON document that concerns one container; None when there is no such file. Raises `Unreadable`."""
        data = self.read(path, owner)
        return None if data is None else parse_json(data, path)

    def shared(self, path: str, parse: Callable[[bytes, str], T], owner: User | None = None) -> T | None:
        """Read and parse a file that many containers share; again only when its inode, time or size changed.

        ``parse`` gets the bytes and the path. None when there is no such file. Raises `Unreadable`.
        """
        kept = self._keep((path, parse), lambda before: self._reparsed(path, parse, owner, before))
        if isinstance(kept.value, Unreadable):
            raise kept.value.with_traceback(None)
        value: T | None = kept.value
        return value

    def names(self, directory: str) -> tuple[str, ...]:
        """List a directory, at most `MOST_NAMES` entries; empty when there is none. Raises `Unreadable`."""
        kept = self._keep((directory, None), lambda _before: _Kept(self._clock(), None, self._listed(directory)))
        if isinstance(kept.value, Unreadable):
            raise kept.value.with_traceback(None)
        names: tuple[str, ...] = kept.value
        return names

    def exists(self, path: str) -> bool:
        """Tell whether there is anything at a path that we may look at."""
        try:
            return os.path.lexists(self.inside(path))
        except (OSError, ValueError):
            return False

    def may_hold(self, directory: str, name: str) -> bool:
        """Tell whether a directory has such an entry; True also when that cannot be told.

        One look at the directory answers for all names as long as nothing is made or removed in it. So asking for what
        is not there costs a thousand containers no thousand walks along paths.
        """
        try:
            status = os.stat(self.inside(directory) if self.root else directory)
        except OSError as error:
            return error.errno not in _ABSENT
        except ValueError:
            return False
        signature = (status.st_ino, status.st_mtime_ns, status.st_size)
        kept = self._kept.get((directory, frozenset))
        if kept is None or kept.signature != signature:
            listed = self._listed(directory)
            known = frozenset(listed) if not isinstance(listed, Unreadable) and len(listed) < MOST_NAMES else None
            settled = time.time_ns() - status.st_mtime_ns > _SETTLED_NSEC
            kept = _Kept(self._clock(), signature if settled else None, known)
            self._put((directory, frozenset), kept)
        return kept.value is None or name in kept.value

    def _listed(self, directory: str) -> tuple[str, ...] | Unreadable:
        try:
            with os.scandir(self.inside(directory)) as entries:
                return tuple(entry.name for entry in islice(entries, MOST_NAMES))
        except OSError as error:
            return () if error.errno in _ABSENT else Unreadable(directory, error.strerror or str(error))
        except ValueError:
            return ()

    def _keep(self, key: tuple[str, object], renew: Callable[[_Kept | None], _Kept]) -> _Kept:
        kept = self._kept.get(key)
        if kept is None or self._clock() - kept.checked_at >= RECHECK_SECONDS:
            kept = renew(kept)
        self._put(key, kept)
        return kept

    def _put(self, key: tuple[str, object], kept: _Kept) -> None:
        self._kept[key] = kept
        self._kept.move_to_end(key)
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)

    def _reparsed(self, path: str, parse: Callable[[bytes, str], T], owner: User | None, before: _Kept | None) -> _Kept:
        # The time and inode are taken before the reading: a change in between is seen at the next check.
        signature = self._signature(path)
        if before is not None and before.signature == signature:
            return _Kept(self._clock(), signature, before.value)
        value: T | Unreadable | None
        try:
            data = self.read(path, owner)
            value = None if data is None else parse(data, path)
        except Unreadable as error:
            value = error
        return _Kept(self._clock(), signature, value)

    def _signature(self, path: str) -> tuple[int, int, int] | None:
        try:
            status = os.lstat(self.inside(path))
        except (OSError, ValueError):
            return None
        return (status.st_ino, status.st_mtime_ns, status.st_size)

    def inside(self, path: str) -> str:
        """Resolve links as if ``root`` were ``/`` (as openat2's RESOLVE_IN_ROOT, which Python does not have)."""
        pending = path.split("/")[::-1]
        done: list[str] = []
        links = 0
        while pending:
            name = pending.pop()
            if name == "..":
                del done[-1:]
            if name in {"", ".", ".."}:
                continue
            target = _link_target("/".join((self.root, *done, name)))
            if target is None:
                done.append(name)
                continue
            links += 1
            if links > _MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            if target.startswith("/"):
                done.clear()
            pending.extend(target.split("/")[::-1])
        return "/".join((self.root, *done)) or "/"


def parse_json(data: bytes, path: str) -> Any:  # noqa: ANN401 - a document may be anything
    """Parse JSON. Raises `Unreadable` for what is none, and for what is nested beyond reason."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise Unreadable(path, "not valid JSON") from None


def parse_toml(data: bytes, path: str) -> dict[str, Any]:
    """Parse TOML. Raises `Unreadable`."""
    import tomllib  # noqa: PLC0415 - few machines have such files

    try:
        return tomllib.loads(data.decode())
    except (ValueError, RecursionError):
        raise Unreadable(path, "not valid TOML") from None


def login(files: Files, uid: int) -> User | None:
    """Look up a user: in the system's user database, or in the passwd file when the root is not ours."""
    if files.root:
        return (files.shared("/etc/passwd", _parse_passwd) or {}).get(uid)
    try:
        entry = pwd.getpwuid(uid)
    except (KeyError, OverflowError):
        return None
    return User(uid, entry.pw_name, entry.pw_dir)


def _link_target(path: str) -> str | None:
    try:
        return os.readlink(path)
    except OSError as error:
        if error.errno == errno.EINVAL:  # not a link
            return None
        raise


def _contents(handle: int, path: str, owner: User | None) -> bytes:
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        raise Unreadable(path, "not a regular file")
    if owner is not None and status.st_uid != owner.uid:
        raise Unreadable(path, f"it does not belong to {owner.name}")
    if status.st_size > MOST_BYTES:
        raise Unreadable(path, f"larger than {MOST_BYTES >> 20} MiB")
    with open(f"/proc/self/fd/{handle}", "rb") as file:
        return file.read(MOST_BYTES)


def _parse_passwd(data: bytes, _path: str) -> dict[int, User]:
    """Parse passwd(5): ``name:password:uid:gid:gecos:home:shell``; lines of another form are skipped."""
    users: dict[int, User] = {}
    for line in data.split(b"\n"):
        fields = line.split(b":")
        if len(fields) == 7 and fields[2].isdigit() and len(fields[2]) < 11:
            user = User(int(fields[2]), os.fsdecode(fields[0]), os.fsdecode(fields[5]))
            users.setdefault(user.uid, user)
    return users
