"""Binding the files into a container that is being set up: what OCI and LXC hooks do.

Such a hook runs in the container's mount namespace, where its root file system is ready below some path, /proc and
/sys included, and the machine's own tree is still in sight. So the files are there before the first instruction of the
container runs, and no list of permitted paths of the runtime applies.

A container's own tree is used where it can be reached. Root of a user namespace can not, as only the machine's root may
enter it: then the files that answer for whoever reads are bound.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cgroup_model.engines import container_path
from cgroup_model.keys import escape_path
from cgscope.errors import Failure
from procfs_fuse import bindings
from procfs_fuse.attach import inside, mountfd, mountinfo, nesting, sources
from procfs_fuse.attach.outcome import Outcome
from procfs_fuse.attach.sources import Places
from procfs_fuse.bindings import Binding
from procfs_fuse.instances import DEFAULT_MOUNTPOINT, Instance, Registry
from procfs_fuse.transport import mounting


@dataclass(frozen=True, slots=True)
class Setup:
    """A container that is being set up."""

    root: str  # of its file system, absolute, without links
    names: Sequence[str]  # what the engine calls it: perhaps its key in an instance's trees
    hides_proc: bool = True  # whether nested containers could not mount a procfs anyway


def bind(setup: Setup, mountpoint: str | None, state_dir: str | None) -> Outcome:
    """Bind the files of the instance at ``mountpoint``, or the only one, into a container. Raises Failure, OSError."""
    instance = _instance(mountpoint, state_dir)
    places, wanted = _sources(setup, instance, mountpoint or DEFAULT_MOUNTPOINT)
    proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with sources.clones(places, wanted, detached=mountfd.supported()) as clones:
            attacher = inside.Attacher(proc, places, frozenset(), base=setup.root.rstrip("/"))
            _make_spare(setup, attacher)
            attacher.put_all(clones)
            return attacher.notes.outcome()
    except inside.Unfinished as unfinished:
        raise Failure(str(unfinished)) from unfinished
    finally:
        os.close(proc)


def _instance(mountpoint: str | None, state_dir: str | None) -> Instance | None:
    """The instance; None where we may not look for it, being root of a user namespace only."""
    try:
        return Registry(state_dir).select(mountpoint)
    except PermissionError:
        return None


def _sources(setup: Setup, instance: Instance | None, mountpoint: str) -> tuple[Places, list[Binding]]:
    if instance is not None:
        places = sources.places_of(instance)
        for key in _keys(setup.names):
            tree = os.path.join(instance.containers, key)
            if os.path.isdir(tree):
                return places, bindings.of_container(tree)
        mountpoint = instance.mountpoint
    else:
        places = _open_place(mountpoint)
    from procfs_fuse.views import TREES  # noqa: PLC0415 - all views, which most containers do not need here

    return places, bindings.of_callers(mountpoint, TREES)


def _open_place(mountpoint: str) -> Places:
    line = mounting.mount_at(mountpoint)
    if line is None or not line.is_ours:
        raise Failure(f"no procfs-fuse is mounted at {mountpoint}", "start it first: procfs-fuse mount")
    return Places(line.source, {line.device: mountpoint})


def _keys(names: Iterable[str]) -> list[str]:
    """How an instance may call this container: by its id, or by its cgroup's path."""
    with open("/proc/self/cgroup", encoding="utf-8", errors="surrogateescape") as file:
        paths = [line.rstrip("\n").split(":", 2)[2] for line in file]
    own = [container_path(path) or path for path in paths if path != "/"]
    return list(dict.fromkeys(escape_path(name) for name in (*names, *own) if name))


def _make_spare(setup: Setup, attacher: inside.Attacher) -> None:
    if setup.hides_proc:
        return
    below = mountinfo.below(mountinfo.own(attacher.proc), setup.root)
    original = nesting.pristine(below)
    if original is not None:
        place = nesting.mount_spare(below, original, setup.root.rstrip("/"))
        attacher.notes.spare += [place] if place is not None else []
