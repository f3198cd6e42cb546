"""Which user a container runs as, looked up where the container would."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from cgscope.errors import Failure
from procfs_fuse import syscalls

_MOST_BYTES = 1 << 20  # of a file of accounts
_MOST_ID = 2**32 - 2  # -1 means "leave as it is" to setresuid(2)


@dataclass(frozen=True, slots=True)
class Account:
    """Numbers and home of a user."""

    uid: int
    gid: int
    home: str
    name: str | None = None


def resolve(user: str, *, foreign_root: bool) -> Account:
    """The account ``USER[:GROUP]``, by name or number; raises Failure when a name is unknown.

    With ``foreign_root`` only ``/etc/passwd`` and ``/etc/group`` are read: the C library would load name service
    modules from a root that we do not trust. A number without an entry gets the group of the same number, not root's.
    """
    name, _, group = user.partition(":")
    account = _from_files(name) if foreign_root else _from_system(name)
    if not group:
        return account
    return Account(account.uid, _group_from_files(group) if foreign_root else _group(group), account.home, account.name)


def become(account: Account) -> None:
    """Give up every other identity: supplementary groups, capabilities, and ways to get them back."""
    os.setgroups([])
    os.setresgid(account.gid, account.gid, account.gid)
    os.setresuid(account.uid, account.uid, account.uid)
    syscalls.set_no_new_privileges()


def number(text: str) -> int | None:
    """A user or group id; None when ``text`` is a name."""
    if not (text.isascii() and text.isdigit()):
        return None
    value = int(text[:20])
    if value > _MOST_ID:
        raise Failure(f"{text} is no user or group id", f"the largest is {_MOST_ID}")
    return value


def _from_system(name: str) -> Account:
    uid = number(name)
    try:
        entry = pwd.getpwnam(name) if uid is None else pwd.getpwuid(uid)
    except KeyError:
        return _without_entry(name, uid)
    return Account(entry.pw_uid, entry.pw_gid, entry.pw_dir or "/", entry.pw_name)


def _from_files(name: str) -> Account:
    uid = number(name)
    for fields in _rows("/etc/passwd", 7):
        known = number(fields[2]), number(fields[3])
        if known[0] is not None and known[1] is not None and (fields[0] == name if uid is None else known[0] == uid):
            return Account(known[0], known[1], fields[5] or "/", fields[0])
    return _without_entry(name, uid)


def _without_entry(name: str, uid: int | None) -> Account:
    if uid is None:
        raise Failure(f"the container has no user {name!r}", "see its /etc/passwd, or give a number")
    return Account(uid, uid, "/")


def _group(group: str) -> int:
    gid = number(group)
    try:
        return grp.getgrnam(group).gr_gid if gid is None else gid
    except KeyError:
        raise Failure(f"there is no group {group!r}", "see /etc/group, or give a number") from None


def _group_from_files(group: str) -> int:
    gid = number(group)
    for fields in _rows("/etc/group", 4):
        if gid is None and fields[0] == group:
            gid = number(fields[2])
    if gid is None:
        raise Failure(f"the container has no group {group!r}", "see its /etc/group, or give a number")
    return gid


def _rows(path: str, fields: int) -> Iterator[list[str]]:
    rows = (line.split(":") for line in _text(path).split("\n"))
    yield from (row for row in rows if len(row) == fields)


def _text(path: str) -> str:
    """The beginning of a regular file, else nothing: in a strange root it may be a pipe, a device, or endless."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return ""
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return ""
        return file.read(_MOST_BYTES).decode("utf-8", "surrogateescape")
