"""LXC, LXD and Incus: `/lxc.payload.<name>`; before LXC 4 `/lxc/<name>` or `/lxc.payload/<name>`.

The monitor (`lxc.monitor.<name>`) and the place where LXC parks its own processes (`lxc.pivot`) are helpers. LXD and
Incus name a container `<name>` in the default project and `<project>_<name>` in others (liblxc, cgroups/cgfsng.c;
incus, internal/server/project). Which of the three it is, their directories tell; or it is Proxmox's (proxmox.py).
"""

from __future__ import annotations

from typing import Final

from cgroup_model.engines._details import Details, text
from cgroup_model.engines._files import Files, User
from cgroup_model.engines._patterns import Kind, Match, Pattern
from cgroup_model.engines.proxmox import has_container

PATTERNS = (
    Pattern("lxc", r"lxc\.payload\.(?P<id>.+)", guess=True),
    Pattern("lxc", r"(?P<id>.+)", parent=r"lxc|lxc\.payload", guess=True),
    Pattern("lxc", r"lxc\.monitor\.(?P<id>.+)", kind=Kind.HELPER),
    Pattern("lxc", r"(?P<id>.+)", parent=r"lxc\.monitor", kind=Kind.HELPER),
    Pattern("lxc", r"(?P<id>lxc\.(?:pivot.*|payload|monitor))", kind=Kind.HELPER),
)

_DIRECTORIES: Final = (
    ("incus", "/var/lib/incus/containers"),
    ("lxd", "/var/snap/lxd/common/lxd/containers"),
    ("lxd", "/var/lib/lxd/containers"),
    ("lxc", "/var/lib/lxc"),
)


def look_up(files: Files, match: Match, user: User | None) -> Details | None:
    """Tell whose container it is. The name is in the path, so there always is an answer."""
    if match.engine != "lxc" or (user is None and has_container(files, match.id)):
        return None
    directories = (("lxc", f"{user.home}/.local/share/lxc"),) if user else _DIRECTORIES
    engine = next((engine for engine, parent in directories if files.exists(f"{parent}/{match.id}")), "lxc")
    project, separator, name = match.id.partition("_")
    if engine == "lxc" or not separator:
        return Details(name=text(match.id), engine=engine)
    return Details(name=text(name), namespace=text(project), engine=engine)
