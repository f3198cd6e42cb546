"""Proxmox VE: containers in `/lxc/<number>`, virtual machines in `/qemu.slice/<number>.scope`.

Names: the guests' configuration, `/etc/pve/lxc/<number>.conf` (`hostname: web`) and
`/etc/pve/qemu-server/<number>.conf` (`name: database`; pct.conf(5), qm.conf(5)), sections of snapshots behind it.
"""

from __future__ import annotations

import re
from typing import Final

from cgroup_model.engines._details import Details, string_labels, text
from cgroup_model.engines._files import Files, User
from cgroup_model.engines._patterns import Match, Pattern

_NUMBER: Final = r"(?P<id>[1-9][0-9]{2,8})"

PATTERNS = (
    # Anybody's LXC container may be called 101: the configuration decides (lxc.py asks `has_container`).
    Pattern("lxc", _NUMBER, parent="lxc", guess=True),
    Pattern("proxmox", rf"{_NUMBER}\.scope", parent=r"qemu\.slice"),
)

_LXC: Final = "/etc/pve/lxc"
_QEMU: Final = "/etc/pve/qemu-server"
_LINE: Final = re.compile(r"(?m)^(\w+):[ \t]*(.*?)[ \t]*$")


def has_container(files: Files, number: str) -> bool:
    """Tell whether an LXC container of this name is Proxmox's."""
    return number.isascii() and number.isdigit() and files.exists(f"{_LXC}/{number}.conf")


def look_up(files: Files, match: Match, user: User | None) -> Details | None:
    """Read a guest's name. Raises `Unreadable`."""
    if user is not None or match.engine not in {"lxc", "proxmox"} or not match.id.isdigit():
        return None
    folder, key = (_LXC, "hostname") if match.engine == "lxc" else (_QEMU, "name")
    data = files.read(f"{folder}/{match.id}.conf")
    if data is None:
        return None
    own = data.decode(errors="replace").partition("\n[")[0]
    values = dict(_LINE.findall(own))
    labels = {name: values[name] for name in ("ostype", "tags") if values.get(name)}
    return Details(name=text(values.get(key)) or match.id, labels=string_labels(labels), engine="proxmox")
