"""CRI-O: the same hook in the same folder as Podman (``hooks_dir`` of crio.conf(5))."""

from __future__ import annotations

from typing import Final

from procfs_fuse.integrations.install import podman
from procfs_fuse.integrations.install.edits import Edit, Installation

AFTERWARDS: Final = "systemctl restart crio, unless hooks_dir in crio.conf names other folders: then add this one"


def edits(installation: Installation) -> list[Edit]:
    """The hook."""
    return podman.edits(installation)
