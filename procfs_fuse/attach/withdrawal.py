"""Taking an instance's files out of every container before it ends: what stayed would be dead.

Unlike `detach` it finds containers by their mounts, and takes also what a hook or ``-v`` put there. Whoever has bound
the instance as a whole, say on /mnt, keeps that: it covers nothing that a container had.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Final

from cgscope.errors import explain
from procfs_fuse.attach import inside, namespaces
from procfs_fuse.attach.attachment import take_out
from procfs_fuse.attach.mountinfo import MountLine
from procfs_fuse.attach.outcome import Outcome
from procfs_fuse.attach.target import Refused
from procfs_fuse.instances import Instance
from procfs_fuse.transport import mounting

_PATIENCE_SECONDS: Final = 5.0


def withdraw(instance: Instance, proc_root: str = "/proc") -> dict[int, Outcome]:
    """Remove the files of ``instance``, which may be dead, from all mount namespaces but our own.

    Returns what was done, by a process of each namespace that had any. Whoever calls holds `attachment.lock`.
    """
    source = mounting.source_of(instance.mountpoint)
    places = {instance.mountpoint, instance.containers}
    devices = frozenset(one.device for one in mounting.mounts() if one.is_ours and one.mountpoint in places)
    outcomes: dict[int, Outcome] = {}
    tried: set[int] = set()
    # Again, since a process in a container may have ended in between, and the container not.
    while found := {pid for pid, _ in namespaces.having(partial(_is_file_of, source), proc_root)} - tried:
        tried |= found
        for pid in sorted(found):
            outcome = _from(pid, source, devices)
            if outcome.files or (outcome.problem and not outcome.gone):
                outcomes[pid] = outcome
    return outcomes


def _from(pid: int, source: str, devices: Collection[str]) -> Outcome:
    try:
        return take_out(pid, partial(_is_to_go, source, devices), _PATIENCE_SECONDS)
    except Refused:  # process 1's mounts, seen from a pod
        return Outcome()
    except OSError as error:
        return Outcome(problem=explain(error))


def _is_file_of(source: str, line: MountLine) -> bool:
    return line.is_ours and line.source == source and line.root != "/"


def _is_to_go(source: str, devices: Collection[str], line: MountLine) -> bool:
    """Asked inside: a living mount that is none of ours there is that of an instance of the container's own."""
    return _is_file_of(source, line) and (line.device in devices or inside.is_dead(line.mountpoint))
