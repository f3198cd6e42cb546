"""Snap: `snap.<snap>.<application>-<uuid>.scope` of a program, `snap.<snap>.<application>.service` of a daemon.

Older versions of snapd write a dot in front of the UUID. A snap is a unit with a mount namespace and no container: it
shares the machine's processes. (snapd, cmd/libsnap-confine-private/cgroup-support.c, sandbox/cgroup)

Names: `/snap/<snap>/current/meta/snap.yaml`, whose `version` it is.
"""

from __future__ import annotations

import re
from typing import Final

from cgroup_model.engines._details import Details, text
from cgroup_model.engines._files import Files, User
from cgroup_model.engines._patterns import Kind, Match, Pattern

_NAME: Final = r"[a-z0-9][a-z0-9_-]*\.[A-Za-z0-9][A-Za-z0-9-]*?"
_UUID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"

PATTERNS = (
    Pattern("snap", rf"snap\.(?P<id>{_NAME}[-.]{_UUID})\.scope", kind=Kind.UNIT),
    Pattern("snap", rf"snap\.(?P<id>{_NAME})\.service", kind=Kind.UNIT),
)

_RUN: Final = re.compile(rf"[-.]{_UUID}\Z")
_VERSION: Final = re.compile(r"""(?m)^version:\s*['"]?([^'"\n]+?)['"]?\s*$""")


def look_up(files: Files, match: Match, user: User | None) -> Details | None:  # noqa: ARG001 - snaps are the machine's
    """Name snap and application, and the snap's version. Raises `Unreadable`."""
    if match.engine != "snap":
        return None
    name = _RUN.sub("", match.id)
    snap = name.partition(".")[0]
    # `foo_bar` is the second installation of snap foo; each has a folder of its own.
    found = _VERSION.search((files.read(f"/snap/{snap}/current/meta/snap.yaml") or b"").decode(errors="replace"))
    return Details(name=text(name), image=text(f"{snap} {found[1]}") if found else None)
