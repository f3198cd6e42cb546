"""What is the machine's own and never to be attached: seen from the machine, or from a pod with the machine's pids."""

from __future__ import annotations

import os


def mount_namespaces(proc_root: str = "/proc") -> frozenset[str]:
    """Names of the mount namespaces of ours and of process 1, which is another one when we are in a container."""
    return frozenset(name for process in ("self", "1") if (name := _link(f"{proc_root}/{process}/ns/mnt")) is not None)


def roots(proc_root: str = "/proc") -> frozenset[tuple[int, int]]:
    """Device and inode of the roots of ours and of process 1."""
    found = set()
    for process in ("self", "1"):
        try:
            status = os.stat(f"{proc_root}/{process}/root")
        except OSError:
            continue  # process 1 of another user namespace is not ours to look into
        found.add((status.st_dev, status.st_ino))
    return frozenset(found)


def _link(path: str) -> str | None:
    try:
        return os.readlink(path)
    except OSError:
        return None
