"""Which mount namespaces have mounts of ours: containers, whoever made them and however the mounts came there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from procfs_fuse.attach import mountinfo
from procfs_fuse.attach.mountinfo import MountLine


def having(wanted: Callable[[MountLine], bool], proc_root: str = "/proc") -> Iterator[tuple[int, list[MountLine]]]:
    """A process of each mount namespace but ours in which there are ``wanted`` mounts, and these."""
    seen = {os.readlink(f"{proc_root}/self/ns/mnt")}  # not process 1's: a pod's mounts are the machine's, too
    for name in filter(str.isdigit, os.listdir(proc_root)):
        try:
            namespace = os.readlink(f"{proc_root}/{name}/ns/mnt")
            if namespace in seen:
                continue
            lines = mountinfo.of_process(int(name), proc_root)
        except OSError:
            continue  # it ended
        seen.add(namespace)
        if found := list(filter(wanted, lines)):
            yield int(name), found
