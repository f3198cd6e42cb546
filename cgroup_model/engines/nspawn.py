r"""systemd-nspawn and what else registers with systemd-machined.

`systemd-nspawn@<name>.service` or `machine-<name>.scope`, in `machine.slice` as a rule. On cgroup v2 nspawn's own
process is beside the `payload`, in `supervisor`. `-` in names is `\x2d` (systemd.unit(5)).

Names: `/run/systemd/machines/<name>`, `KEY=value` lines (systemd, src/machine/machine.c): `CLASS` tells containers from
virtual machines, `SERVICE` who registered it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cgroup_model.engines._details import Details, string_labels, text
from cgroup_model.engines._files import Files, User
from cgroup_model.engines._patterns import Kind, Match, Pattern, Rank
from cgroup_model.engines.systemd import unescape

_UNIT: Final = r"systemd-nspawn@.+\.service|machine-.+\.scope"

PATTERNS = (
    Pattern("nspawn", r"systemd-nspawn@(?P<id>.+)\.service"),
    # libvirt and others put more into the same place and are asked first.
    Pattern("nspawn", r"machine-(?P<id>.+)\.scope", rank=Rank.GENERAL),
    Pattern("nspawn", r"(?P<id>supervisor)", parent=_UNIT, kind=Kind.HELPER),
)

_MACHINES: Final = "/run/systemd/machines"
_LABELS: Final = {"CLASS": "class", "SERVICE": "service", "ROOT": "root"}


def look_up(files: Files, match: Match, user: User | None) -> Details | None:
    """Make the name readable, and add what machined knows. Raises `Unreadable`."""
    if match.engine != "nspawn" or user is not None:
        return None
    name = unescape(match.id)
    known = files.shared(f"{_MACHINES}/{name}", _parse) or {}
    labels = {label: known[key] for key, label in _LABELS.items() if key in known}
    return Details(name=text(known.get("NAME")) or text(name), labels=string_labels(labels))


def _parse(data: bytes, _path: str) -> Mapping[str, str]:
    """Read `KEY=value` lines; values with special characters are quoted as a shell does."""
    lines = data.decode(errors="replace").splitlines()
    pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
    return {key: value.strip('"') for key, _, value in pairs}
