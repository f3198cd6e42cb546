"""Names for containers that are safe as one path component: `/run/…/containers/<key>`.

A key is the engine's container id where that is unique, else the escaped cgroup path. Both come from strangers:
whoever may make a directory in a cgroup tree chooses them, so everything outside ``[A-Za-z0-9_.-]`` is quoted.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Final

_UNSAFE: Final = re.compile(rb"[^A-Za-z0-9_.-]")
_WHOLE: Final = re.compile(r"(?:[A-Za-z0-9_.-]|%[0-9A-F]{2})+")

_NAME_MAX: Final = 255  # bytes in a file name, include/uapi/linux/limits.h
_DIGEST_BYTES: Final = 16
_HEAD_LENGTH: Final = _NAME_MAX - 1 - 2 * _DIGEST_BYTES
_HASH_MARK: Final = "~"  # never made by quoting, so that a shortened key equals no whole one


@lru_cache(maxsize=4096)  # two of each container are wanted again whenever one comes or goes
def escape_path(path: str) -> str:
    """Turn a cgroup path (or any name) into a file name of 1 to 255 ASCII characters, other than ``.`` and ``..``.

    Two paths never get the same name. What would be too long is cut and ends in ``~`` and a hash of the whole path.
    Raises ValueError for the empty string.
    """
    raw = os.fsencode(path)
    if not raw:
        raise ValueError("an empty path has no key")
    key = _UNSAFE.sub(_quoted, raw).decode("ascii")
    if key in {".", ".."}:
        return key.replace(".", "%2E")
    if len(key) <= _NAME_MAX:
        return key
    import hashlib  # noqa: PLC0415 - brings OpenSSL, 4 MiB, and few names are that long

    digest = hashlib.blake2b(raw, digest_size=_DIGEST_BYTES).hexdigest()
    return key[:_HEAD_LENGTH] + _HASH_MARK + digest


def _quoted(byte: re.Match[bytes]) -> bytes:
    return b"%%%02X" % ord(byte[0])


def unescape_path(key: str) -> str:
    """Return the path that `escape_path` made ``key`` from.

    Raises ValueError for whatever `escape_path` does not make (so that one container has one key), and for
    shortened keys, whose path is lost.
    """
    if not _WHOLE.fullmatch(key):
        raise ValueError(f"not the key of a path: {key!r}")
    head, *quoted = key.split("%")
    raw = head.encode() + b"".join(bytes.fromhex(part[:2]) + part[2:].encode() for part in quoted)
    path = os.fsdecode(raw)
    if escape_path(path) != key:
        raise ValueError(f"not the key of a path: {key!r}")
    return path


def container_keys(paths: Iterable[str], container_id: Callable[[str], str | None]) -> Mapping[str, str]:
    """Map key -> cgroup path for these containers; ``container_id`` gives a path's engine id, None when unknown.

    An id that two cgroups claim, or that spells another's key, names none of them: each then goes by its path, so
    that nobody takes over another's name by making a look-alike cgroup.
    """
    ids = {path: container_id(path) for path in paths}
    names = {path: escape_path(found) for path, found in ids.items() if found}
    claims = Counter(names.values())
    escaped = {path: escape_path(path) for path in ids}
    taken = set(escaped.values())
    by_id = {path: name for path, name in names.items() if claims[name] == 1 and name not in taken}
    return {by_id.get(path, escaped[path]): path for path in ids}
