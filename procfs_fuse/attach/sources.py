"""The files that an instance shows for a container, as mounts that can be put down in another namespace."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import Self

from cgscope.errors import Failure
from procfs_fuse import bindings
from procfs_fuse.attach import mountfd
from procfs_fuse.attach.mountinfo import MountLine
from procfs_fuse.bindings import Binding
from procfs_fuse.instances import Instance
from procfs_fuse.transport import mounting


@dataclass(frozen=True, slots=True)
class Places:
    """Where an instance is mounted now."""

    source: str  # as mountinfo names its mounts, also where they are dead or bound elsewhere
    devices: dict[str, str]  # "major:minor" -> mount point, of the connections that are served

    def within(self, path: str) -> tuple[str, str] | None:
        """The device of a path in one of these mounts, and the path in there."""
        for device, mountpoint in self.devices.items():
            if path.startswith(f"{mountpoint}/"):
                return device, path[len(mountpoint) :]
        return None

    def path_of(self, line: MountLine) -> str:
        """Where the file or folder that a mount of this instance shows is to be found now.

        Of the two connections the cached one is mounted read-only, which all its binds say.
        """
        open_mountpoint, cached_mountpoint = self.devices.values()
        top = cached_mountpoint if "ro" in line.super_options else open_mountpoint
        return top if line.root == "/" else f"{top}{line.root}"


def places_of(instance: Instance) -> Places:
    """Where an instance is mounted. Raises Failure when it is not."""
    found = mounting.mounts()
    devices: dict[str, str] = {}
    for path in (instance.mountpoint, instance.containers):
        line = next((one for one in reversed(found) if one.mountpoint == path and one.is_ours), None)
        if line is None:
            raise Failure(f"procfs-fuse is not mounted at {path}", "see: procfs-fuse status")
        devices[line.device] = path
        source = line.source
    return Places(source, devices)


@dataclass(frozen=True, slots=True)
class Clone:
    """A mount to be put down."""

    descriptor: int
    target: str
    flags: int
    device: str
    root: str
    restricted: bool  # whether the clone has these flags; else it gets them where it is put
    detached: bool = True  # else only a descriptor of the file, to be bound in the same mount namespace


Clones = list[Clone]


class _Folders:
    """A container's folders on both connections: from there a file is looked up in one or two steps instead of six."""

    def __init__(self, wanted: Iterable[Binding], undo: contextlib.ExitStack) -> None:
        self._descriptors: dict[str, int] = {}
        for top in {one.source[: -len(one.target)] for one in wanted if one.source.endswith(one.target)}:
            with contextlib.suppress(OSError):
                descriptor = os.open(top, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
                undo.callback(os.close, descriptor)
                self._descriptors[top] = descriptor

    def open(self, path: str) -> int:
        """Open a file as a place in the tree only. Raises OSError."""
        for top, descriptor in self._descriptors.items():
            if path.startswith(f"{top}/"):
                return os.open(path[len(top) + 1 :], os.O_PATH | os.O_CLOEXEC, dir_fd=descriptor)
        return os.open(path, os.O_PATH | os.O_CLOEXEC)


@contextlib.contextmanager
def clones(places: Places, wanted: Iterable[Binding], *, detached: bool = True) -> Iterator[Clones]:
    """Clone the source of each binding; those that vanished are left out. Raises OSError.

    Not ``detached``: for kernels that cannot clone, and a caller that is in the right namespace already.
    """
    with contextlib.ExitStack() as undo:
        found: Clones = []
        wanted = list(wanted)
        folders = _Folders(wanted, undo)
        for binding in wanted:
            try:
                found.append(_clone(places, binding, folders, undo, detached=detached))
            except FileNotFoundError:
                continue
        yield found


class Supply:
    """The mounts of one container, which may be made before it needs them; they can be put down once.

    To open all files takes the server a hundred answers, to put them down takes it none. Raises Failure.
    """

    def __init__(self, instance: Instance, key: str) -> None:
        self.places = places_of(instance)
        self._instance = instance
        self._key = key
        self._wanted = of_container(instance, key)
        self._made: dict[Binding, Clone] = {}
        self._kept = contextlib.ExitStack()
        self._looking = contextlib.ExitStack()
        self._folders = _Folders(self._wanted, self._looking)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of what was not put down."""
        self._looking.close()
        self._kept.close()

    def make_one(self) -> bool:
        """Make one more, if there is one more. Raises OSError."""
        if not self._wanted:
            self._looking.close()  # unlike the clones, open folders keep the instance's own mounts busy
            return False
        binding = self._wanted.pop()
        with contextlib.suppress(FileNotFoundError):  # vanished meanwhile
            self._made[binding] = _clone(self.places, binding, self._folders, self._kept, detached=True)
        return True

    def clones(self) -> Clones:
        """All of them. Raises OSError."""
        while self.make_one():
            pass
        return [self._made[binding] for binding in sorted(self._made, key=attrgetter("target"))]

    def is_outgrown(self) -> bool:
        """Whether the container has more by now: what it is shown depends on its settings."""
        try:
            return any(one not in self._made for one in of_container(self._instance, self._key))
        except Failure:
            return False  # it has ended

    def is_current(self) -> bool:
        """Whether the instance is mounted as it was."""
        try:
            return self.places == places_of(self._instance)
        except Failure:
            return False


def of_container(instance: Instance, key: str) -> list[Binding]:
    """What is to be bound in the container that the instance knows by ``key``. Raises Failure."""
    tree = os.path.join(instance.containers, key)
    try:
        return bindings.of_container(tree)
    except OSError as error:  # ENOENT, or ENODEV from the middle: it has just ended
        text = f"the file system at {instance.mountpoint} does not show container {key}: {error.strerror}"
        raise Failure(text) from error


def _clone(places: Places, binding: Binding, folders: _Folders, undo: contextlib.ExitStack, *, detached: bool) -> Clone:
    # Where a link led to is written in the descriptor's name; for a clone that is only "/".
    with contextlib.ExitStack() as until_cloned:
        looked = folders.open(binding.source)
        until_cloned.callback(os.close, looked)
        device, root = places.within(os.readlink(f"/proc/self/fd/{looked}")) or ("", "")
        if not detached:
            undo.push(until_cloned.pop_all())
            return Clone(looked, binding.target, binding.flags, device, root, restricted=False, detached=False)
        descriptor = mountfd.clone(looked)
        undo.callback(os.close, descriptor)
    restricted = mountfd.restrict(descriptor, binding.flags)
    return Clone(descriptor, binding.target, binding.flags, device, root, restricted)
