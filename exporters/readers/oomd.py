"""Marks that systemd-oomd and oomd leave on cgroups whose processes they killed.

systemd: src/oom/oomd-util.c (increment_oomd_xattr); extended attributes of the directory in the v2 hierarchy, a number
as text: ``user.oomd_kill`` counts processes, ``user.oomd_ooms`` times.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from cgroup_model.hierarchy import Cgroup, Tree


@dataclass(frozen=True, slots=True)
class Marks:
    """What is marked; None where there is no mark."""

    kills: int | None = None
    ooms: int | None = None


class OomdReader:
    """Reads the marks of v2 directories."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    def read(self, cgroup: Cgroup) -> Marks | None:
        """Read both marks; None where v2 does not know the cgroup."""
        directory = self._tree.layout(cgroup).directories.get("")
        if directory is None:
            return None
        return Marks(_number(directory, "user.oomd_kill"), _number(directory, "user.oomd_ooms"))


def _number(directory: str, name: str) -> int | None:
    try:
        text = os.getxattr(directory, name, follow_symlinks=False)
    except OSError:  # not marked; gone; a kernel before 5.7, whose cgroups take no such attributes
        return None
    return int(text) if text.isdigit() and len(text) < 20 else None
