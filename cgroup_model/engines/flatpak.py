r"""Flatpak: `app-flatpak-<application>-<pid>.scope` in a user's manager (flatpak, common/flatpak-run.c).

Names: `/run/user/<uid>/.flatpak/<instance>/info`, where the instance whose `pid` file holds the number of the scope is
this one (flatpak-metadata(5)): `[Application] name=org.example.App`, `runtime=runtime/org.gnome.Platform/x86_64/46`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from cgroup_model.engines._details import Details, string_labels, text
from cgroup_model.engines._files import Files, Unreadable, User
from cgroup_model.engines._patterns import Match, Pattern
from cgroup_model.engines.systemd import unescape

PATTERNS = (Pattern("flatpak", r"app-flatpak-(?P<id>.+-[0-9]+)\.scope"),)

_MOST_INSTANCES: Final = 64
_RUNTIME: Final = re.compile(r"(?m)^runtime=(?:runtime/)?(.+)$")


def look_up(files: Files, match: Match, user: User | None) -> Details | None:
    """Name the application, and the runtime that it was built for."""
    if match.engine != "flatpak":
        return None
    application, _, pid = match.id.rpartition("-")
    runtime = _runtime(files, user, pid) if user else None
    labels = string_labels({"user": user.name}) if user else string_labels(None)
    return Details(name=text(unescape(application)), image=text(runtime), labels=labels)


def _runtime(files: Files, user: User, pid: str) -> str | None:
    for info in _infos(files, user, pid):
        if found := _RUNTIME.search(info):
            return found[1]
    return None


def _infos(files: Files, user: User, pid: str) -> Iterator[str]:
    """Yield the description of the instance with this process; what cannot be read is somebody else's trouble."""
    base = f"/run/user/{user.uid}/.flatpak"
    try:
        for instance in files.names(base)[:_MOST_INSTANCES]:
            number = files.read(f"{base}/{instance}/pid", user)
            if number is not None and number.strip() == pid.encode():
                yield (files.read(f"{base}/{instance}/info", user) or b"").decode(errors="replace")
    except Unreadable:
        return
