"""Which mount namespaces have mounts of ours: containers, whoever made them and however the mounts came there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from procfs_fuse.attach import mountinfo
from procfs_fuse.attach.mountinfo import MountLine


def having(wanted: Callable[[MountLine], bool], proc_root: str = "/proc") -> Iterator[tuple[int, list[MountLine]]]:
    """A process of each mount namespace but ours in which there are ``wanted`` mounts, and these."""
    seen = {os.readlink(f"{proc_root}/self/ns/mnt")}  # not process 1's: a pod's mounts are the machine's, too
    for name in _insiders_first(proc_root):
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


def _insiders_first(proc_root: str) -> list[str]:
    """All processes, those of our own pid namespace last: nsenter(1) waits there for what it started in a container.

    Since Linux 6.14 each pid namespace has a pid_max of its own: what covers it is found only from where it was put.
    """
    own = os.readlink(f"{proc_root}/self/ns/pid")

    def is_outside(name: str) -> bool:
        try:
            return os.readlink(f"{proc_root}/{name}/ns/pid") == own
        except OSError:
            return True  # it ended

    return sorted(filter(str.isdigit, os.listdir(proc_root)), key=is_outside)
