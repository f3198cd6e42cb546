"""Where engines keep a container's log in a file, and what its lines say. No daemon is asked."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import re
import time
from typing import Final

from cgroup_model.engines import Files, Identity
from cgroup_model.engines.docker import log_file

_ID: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.-]{7,}")
_PLACES: Final = (
    "var/lib/containers/storage/*-containers/{id}/userdata/ctr.log",
    "var/log/containers/*-{id}.log",
)


def find_log(identity: Identity, fs_root: str = "/") -> str | None:
    """The file with the log of a container; None when its engine keeps none in a place we know."""
    if not identity.engine or not _ID.fullmatch(identity.id):  # the id becomes part of a pattern
        return None
    with contextlib.suppress(OSError):  # links that lead nowhere
        if os.path.isfile(path := log_file(Files(fs_root, time.monotonic), identity.id)):
            return path
    for place in _PLACES:
        for path in sorted(glob.glob(os.path.join(fs_root, place.format(id=identity.id)))):
            if os.path.isfile(path):
                return path
    return None


def message(line: str) -> str:
    """What a line says, without Docker's JSON or CRI's prefix where it has one."""
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
