"""LXC: a line for every container whose configuration includes LXC's common one, as its templates' do."""

from __future__ import annotations

import shlex
from typing import Final

from procfs_fuse.integrations.install.edits import Edit, Installation, whole_file

PATH: Final = "/usr/share/lxc/config/common.conf.d/10-procfs-fuse.conf"
AFTERWARDS: Final = (
    "nothing: containers have the files from their next start on; remove the package lxcfs if it is there"
)


def edits(installation: Installation) -> list[Edit]:
    """The hook."""
    command = shlex.join([*installation.words, "lxc-hook", *installation.options])
    return [whole_file(PATH, lambda: f"lxc.hook.mount = {command}\n")]
