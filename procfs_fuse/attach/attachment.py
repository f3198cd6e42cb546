"""Attaching and detaching one container."""

from __future__ import annotations

import contextlib
import enum
import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final

from cgscope.errors import explain
from procfs_fuse.attach import entering, inside, mountfd, mountinfo, nesting
from procfs_fuse.attach.mountinfo import MountLine
from procfs_fuse.attach.outcome import Outcome, Reason
from procfs_fuse.attach.sources import Clones, Places, Supply
from procfs_fuse.attach.target import Gone, Target
from procfs_fuse.instances import Instance
from procfs_fuse.transport import mounting

_LOCK: Final = "attach.lock"
_NO_CALLS: Final = "this kernel has no open_tree and move_mount (Linux 5.2): use the engine's hook or -v instead"


class Nesting(enum.Enum):
    """What to do with a container that could make containers of its own (see `nesting`)."""

    SPARE_PROC = "spare-proc"
    SKIP = "skip"


def attach(instance: Instance, pid: int, key: str, nesting_choice: Nesting = Nesting.SPARE_PROC) -> Outcome:
    """Put the files of the container that ``instance`` knows by ``key`` where process ``pid`` looks for them.

    Raises Failure when the instance is not mounted or does not know the key, `Refused` when the process is the host's.
    """
    return attach_from(instance, pid, partial(Supply, instance, key), nesting_choice)


def attach_from(
    instance: Instance, pid: int, supply: Callable[[], Supply], nesting_choice: Nesting = Nesting.SPARE_PROC
) -> Outcome:
    """`attach` with mounts that ``supply`` gives: perhaps from before. They are closed afterwards."""
    if not mountfd.supported():
        return Outcome(problem=_NO_CALLS, reason=Reason.KERNEL)
    try:
        with Target(pid) as target, lock(instance), supply() as supplied:
            return _put(target, supplied, nesting_choice)
    except Gone:
        return _gone(pid)
    except entering.Failed as failure:
        return Outcome(problem=str(failure), reason=failure.reason)


def detach(instance: Instance | None, pid: int) -> Outcome:
    """Remove from process ``pid``'s mounts what ``instance`` has there, dead or alive; None: any instance."""
    source = mounting.source_of(instance.mountpoint) if instance is not None else None
    return take_out(pid, partial(_shows_one_container, source))


def take_out(
    pid: int, wanted: Callable[[MountLine], bool], patience_seconds: float = entering.PATIENCE_SECONDS
) -> Outcome:
    """Remove the ``wanted`` ones of process ``pid``'s mounts, and what had been made for them. Raises `Refused`."""
    try:
        with Target(pid) as target:
            return Outcome.from_json(entering.inside(target, partial(_remove, wanted), (), patience_seconds))
    except Gone:
        return _gone(pid)
    except entering.Failed as failure:
        return Outcome(problem=str(failure), reason=failure.reason)


@contextlib.contextmanager
def lock(instance: Instance) -> Iterator[None]:
    """Hold the lock that keeps two attachers of an instance from mounting the same twice."""
    descriptor = os.open(os.path.join(instance.directory, _LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _put(target: Target, supply: Supply, nesting_choice: Nesting) -> Outcome:
    lines = mountinfo.of_process(os.getpid())
    if not supply.places.devices.keys() <= {line.device for line in lines}:  # what was made before is dead by now
        return Outcome(problem="the instance was unmounted meanwhile", reason=Reason.FILES)
    host_peers = mountinfo.peers_of(lines)
    try:
        clones = supply.clones()
    except OSError as error:
        return Outcome(problem=f"its files cannot be cloned: {explain(error)}", reason=Reason.FILES)
    work = partial(_mount, supply.places, clones, host_peers, nesting_choice)
    return Outcome.from_json(entering.inside(target, work, [clone.descriptor for clone in clones]))


def _mount(places: Places, clones: Clones, host_peers: frozenset[int], choice: Nesting, proc: int) -> Mapping[str, Any]:
    lines = mountinfo.own(proc)
    original = nesting.pristine(lines)
    left_alone = frozenset({"proc"} if original is not None and choice is Nesting.SKIP else ())
    attacher = inside.Attacher(proc, places, host_peers, left_alone)
    attacher.know(lines)
    try:
        attacher.put_all(clones)
    except inside.Unfinished as unfinished:
        return Outcome(problem=str(unfinished), reason=Reason.MOUNT).to_json()
    if original is not None and choice is Nesting.SPARE_PROC and original.peers not in host_peers:
        place = nesting.mount_spare(lines, original)
        attacher.notes.spare += [place] if place is not None else []
    return attacher.notes.outcome().to_json()


def _shows_one_container(source: str | None, line: MountLine) -> bool:
    return line.of_one_container and source in {None, line.source}


def _remove(wanted: Callable[[MountLine], bool], proc: int) -> Mapping[str, Any]:
    detacher = inside.Detacher(proc, wanted)
    detacher.remove_all()
    lines = mountinfo.own(proc)
    if not any(line.of_one_container for line in lines):
        detacher.notes.spare += nesting.remove_spares(lines)
    return detacher.notes.outcome().to_json()


def _gone(pid: int) -> Outcome:
    return Outcome(problem=f"process {pid} ended", gone=True)
