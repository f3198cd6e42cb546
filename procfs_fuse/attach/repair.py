"""Healing containers whose mounts lost their server: everything of ours had died, and is served again.

A dead mount says in its mountinfo which instance it was of and which file it showed. The same file of the living one
is put in its place, inside the container, which notices nothing but that reads work again.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter, deque
from collections.abc import Generator, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Final

from procfs_fuse import bindings, syscalls
from procfs_fuse.attach import inside, mountfd, mountinfo, namespaces, sources
from procfs_fuse.attach.attachment import lock
from procfs_fuse.attach.entering import Errand, Failed
from procfs_fuse.attach.mountinfo import MountLine
from procfs_fuse.attach.outcome import Fate, FileOutcome, Outcome
from procfs_fuse.attach.sources import Clone, Places
from procfs_fuse.attach.target import Gone, Refused, Target
from procfs_fuse.bindings import Binding
from procfs_fuse.instances import Instance

_PATIENCE_SECONDS: Final = 5.0
_MOST_AT_ONCE: Final = 4  # one waits for the kernel, which forgets its mounts one by one, while others go on


def repair(instance: Instance, proc_root: str = "/proc") -> dict[int, Outcome]:
    """Replace the dead mounts of ``instance`` in all mount namespaces but our own.

    ``instance`` must be mounted and served, and not by the caller: the kernel asks it for the files. Returns what was
    done, by a process of each namespace in which something was dead. Raises Failure when nothing is mounted.
    """
    places = sources.places_of(instance)
    outcomes: dict[int, Outcome] = {}
    with lock(instance):
        found = namespaces.having(partial(_is_suspect, places), proc_root)
        _overlap(_repair_one(pid, places, lines, outcomes) for pid, lines in found)
    return outcomes


def _overlap(repairs: Iterable[Generator[None]]) -> None:
    """Begin each; wait for the first one's end when there are as many as may be."""
    under_way: deque[Generator[None]] = deque()
    try:
        for one in repairs:
            if len(under_way) == _MOST_AT_ONCE:
                next(under_way.popleft(), None)
            next(one, None)
            under_way.append(one)
        while under_way:
            next(under_way.popleft(), None)
    finally:
        for one in under_way:
            one.close()


def _is_suspect(places: Places, line: MountLine) -> bool:
    return line.is_ours and line.source == places.source and line.device not in places.devices


def _repair_one(pid: int, places: Places, lines: list[MountLine], outcomes: dict[int, Outcome]) -> Generator[None]:
    """Heal one container; pauses while a process does so in there. What was done is added to ``outcomes``."""
    wanted = [Binding(places.path_of(line), line.mountpoint, _flags(line)) for line in lines]
    try:
        with Target(pid) as target, sources.clones(places, wanted) as clones:
            work = partial(_replace, places, {clone.target: clone for clone in clones})
            with Errand(target, work, [clone.descriptor for clone in clones], _PATIENCE_SECONDS) as errand:
                yield
                outcome = Outcome.from_json(errand.answer())
    except Failed as failure:
        outcome = Outcome(problem=str(failure), reason=failure.reason)
    except (Gone, Refused):
        return
    if outcome.files or outcome.problem:
        outcomes[pid] = outcome


def _flags(line: MountLine) -> int:
    return bindings.READ_ONLY if "ro" in line.options else bindings.WRITABLE


def _replace(places: Places, clones: Mapping[str, Clone], proc: int) -> Mapping[str, Any]:
    """Work of the helper process: take the dead ones away, put the living ones in their place."""
    files: list[FileOutcome] = []
    suspects = filter(partial(_is_suspect, places), mountinfo.own(proc))
    layers = Counter(line.mountpoint for line in suspects if inside.is_dead(line.mountpoint))
    for path, count in layers.items():
        if path in clones:
            exchange(clones[path], count)
            files.append(FileOutcome(path, Fate.REPAIRED))
        else:
            _take_away(path, count)
            files.append(FileOutcome(path, Fate.DETACHED, "it was dead, and is not served any more"))
    return Outcome(tuple(files)).to_json()


def exchange(clone: Clone, layers: int) -> None:
    """Put a clone in the place of so many mounts on its path. Raises OSError.

    Where the kernel can, the new one comes below the last old one, so that nobody sees the machine's file in between.
    """
    _take_away(clone.target, layers - 1)
    with _place(clone) as place:
        beneath = clone.restricted and mountfd.put_beneath(clone.descriptor, place, clone.target)
    _take_away(clone.target, 1)
    if not beneath:
        with _place(clone) as place:
            mountfd.put(clone.descriptor, place, clone.target)
        if not clone.restricted:
            inside.restrict(clone.target, clone.flags)


def _take_away(path: str, layers: int) -> None:
    for _ in range(layers):  # each restart of the server may have left one
        syscalls.umount(path, syscalls.MNT_DETACH)


@contextlib.contextmanager
def _place(clone: Clone) -> Iterator[int]:
    place = os.open(clone.target, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield place
    finally:
        os.close(place)
