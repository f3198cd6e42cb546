"""systemd: a service that mounts, attaches every container, and outlives its own crashes and upgrades.

The service manager keeps the descriptors of the file system (FDSTORE), so nothing is unmounted when it starts us again.
"""

from __future__ import annotations

import shlex
from typing import Final

from procfs_fuse.integrations.install.edits import Edit, Installation, whole_file

PATH: Final = "/etc/systemd/system/procfs-fuse.service"
AFTERWARDS: Final = "systemctl daemon-reload && systemctl enable --now procfs-fuse"

_UNIT: Final = """\
[Unit]
Description=Virtual /proc files that tell containers the truth
Documentation=man:procfs-fuse(1)
Before=docker.service podman.service crio.service containerd.service lxc.service kubelet.service
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=all
ExecStart={program} mount --foreground --attach all{options}
ExecReload={program} restart{chosen}
Restart=always
RestartSec=100ms
FileDescriptorStoreMax=16
KillMode=mixed
TimeoutStopSec=20
RuntimeDirectory=procfs-fuse
RuntimeDirectoryMode=0700
RuntimeDirectoryPreserve=restart
StateDirectory=procfs-fuse
OOMScoreAdjust=-900
Slice=system.slice

[Install]
WantedBy=multi-user.target
"""


def edits(installation: Installation) -> list[Edit]:
    """The unit."""
    places = [word.removeprefix("--mount=") for word in installation.options if word.startswith("--mount=")]
    options = "".join(f" {shlex.quote(place)}" for place in places)
    chosen = "".join(f" --mount {shlex.quote(place)}" for place in places)
    return [whole_file(PATH, _UNIT.format(program=shlex.join(installation.words), options=options, chosen=chosen))]
