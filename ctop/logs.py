"""Where engines keep a container's log in a file, and its last lines. No daemon is asked."""

from __future__ import annotations

import glob
import json
import os
import re
from typing import Final

from cgroup_model.engines import Identity

_ID: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.-]{7,}")
_PLACES: Final = (
    "var/lib/docker/containers/{id}/{id}-json.log",
    "var/lib/containers/storage/*-containers/{id}/userdata/ctr.log",
    "var/log/containers/*-{id}.log",
)
_LAST_BYTES: Final = 1 << 18
_MOST_LINES: Final = 2000


def find_log(identity: Identity, fs_root: str = "/") -> str | None:
    """The file with the log of a container; None when its engine keeps none in a place we know."""
    if not identity.engine or not _ID.fullmatch(identity.id):  # the id becomes part of a pattern
        return None
    for place in _PLACES:
        for path in sorted(glob.glob(os.path.join(fs_root, place.format(id=identity.id)))):
            if os.path.isfile(path):
                return path
    return None


def last_lines(path: str) -> list[str]:
    """The last lines, decoded from Docker's JSON or CRI's prefix where they have one; raises OSError."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _LAST_BYTES))
        data = file.read()
    lines = data.decode("utf-8", "replace").splitlines()
    if size > _LAST_BYTES:
        lines = lines[1:]  # cut in the middle
    return [_message(line) for line in lines[-_MOST_LINES:]]


def _message(line: str) -> str:
    if line.startswith("{"):
        try:
            found = json.loads(line)
        except ValueError:
            return line
        text = found.get("log") if isinstance(found, dict) else None
        return text.rstrip("\n") if isinstance(text, str) else line
    stamp, _, rest = line.partition(" ")
    stream, _, rest = rest.partition(" ")
    if stream in {"stdout", "stderr"} and stamp[:2] == "20":
        return rest.partition(" ")[2]
    return line
