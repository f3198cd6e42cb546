"""systemd: a service that mounts, attaches every container, and outlives its own crashes and upgrades.

The service manager keeps the descriptors of the file system (FDSTORE), so nothing is unmounted when it starts us again.
"""

from __future__ import annotations

import shlex
from typing import Final

from procfs_fuse.instances import DEFAULT_MOUNTPOINT
from procfs_fuse.integrations.install.edits import Edit, Installation, whole_file

PATH: Final = "/etc/systemd/system/procfs-fuse.service"
AFTERWARDS: Final = "systemctl daemon-reload && systemctl enable --now procfs-fuse"

_UNIT: Final = """\
[Unit]
Description=A /proc that tells containers the truth about themselves
Documentation=man:procfs-fuse(8)
Before=docker.service podman.service crio.service containerd.service lxc.service kubelet.service
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart={program} mount --foreground --attach all{place}
ExecReload={program} restart --mount {there}
ExecStop={program} umount --unless-restarting %n {there}
Restart=on-failure
RestartSec=50ms
WatchdogSec=30s
FileDescriptorStoreMax=8
TimeoutStopSec=30s
KillMode=mixed
RuntimeDirectory=procfs-fuse
RuntimeDirectoryMode=0700
RuntimeDirectoryPreserve=yes
OOMScoreAdjust=-1000
LimitNOFILE=65536
LimitMEMLOCK=infinity
UMask=0077

[Install]
WantedBy=multi-user.target
"""


def edits(installation: Installation) -> list[Edit]:
    """The unit."""
    chosen = [word.removeprefix("--mount=") for word in installation.options if word.startswith("--mount=")]
    place = "".join(f" {shlex.quote(path)}" for path in chosen)
    there = shlex.quote(chosen[0] if chosen else DEFAULT_MOUNTPOINT)
    program = shlex.join(installation.words)
    return [whole_file(PATH, lambda: _UNIT.format(program=program, place=place, there=there))]
