r"""systemd: units and sessions. They have names, but are no containers.

A cgroup is called as its unit (systemd, docs/CGROUP_DELEGATION.md), with `_` in front where the name could be taken for
one of the kernel's files; parts of unit names are escaped as `\x2d` (systemd.unit(5)). A user's slice
and service carry the uid: `user-1000.slice`, `user@1000.service`.
"""

from __future__ import annotations

import os
import re
from typing import Final

from cgroup_model.engines._details import Details, string_labels, text
from cgroup_model.engines._files import Files, User, login
from cgroup_model.engines._patterns import Kind, Match, Pattern, Rank

PATTERNS = (
    Pattern("systemd", r"_?(?P<id>.+\.(?:mount|swap))", kind=Kind.HELPER, rank=Rank.UNIT),
    Pattern("systemd", r"_?(?P<id>.+\.(?:service|slice|scope|socket))", kind=Kind.UNIT, rank=Rank.UNIT),
)

_ESCAPES: Final = re.compile(r"(?:\\x[0-9a-f]{2})+")
_UID: Final = re.compile(r"user[-@]([0-9]{1,10})\.(?:slice|service)")


def look_up(files: Files, match: Match, user: User | None) -> Details | None:
    """Make a unit's name readable: escapes undone, uids as login names, and the user it belongs to as a label."""
    if match.engine != "systemd":
        return None
    name = unescape(match.id)
    own = _UID.fullmatch(match.id)
    login_user = user or (login(files, int(own[1])) if own else None)
    if login_user is None:
        return Details(name=text(name))
    login_name = text(login_user.name) or str(login_user.uid)
    if own:
        name = name.replace(own[1], login_name)
    return Details(name=text(name), labels=string_labels({"user": login_name}))


def unescape(unit: str) -> str:
    r"""Undo systemd's `\xNN`; the bytes are UTF-8, others stay escaped for Python (surrogates)."""
    return _ESCAPES.sub(lambda found: os.fsdecode(bytes.fromhex(found[0].replace("\\x", ""))), unit)
