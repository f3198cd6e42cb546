"""Binding files of a container's own tree over the paths where its programs look for them."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from procfs_fuse import syscalls

WRITABLE: Final = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
"""Restrictions of a bind that may be written to."""
READ_ONLY: Final = WRITABLE | syscalls.MS_RDONLY
DEVICE: Final = syscalls.MS_NOSUID | syscalls.MS_NOEXEC

_TAKE_TRIGGERS: Final = "proc/pressure/"  # programs write to these files to be woken (Documentation/accounting/psi.rst)
_DEVICES: Final = "sys/class/block"  # ours has one file of each device's many: never bound as a whole
_MOST_DEVICES: Final = 256  # each takes a descriptor of `Bound`, of which a process may have 1024


@dataclass(frozen=True, slots=True)
class Binding:
    """Show ``source`` at ``target``; ``flags`` are restrictions as mount(2) has them."""

    source: str
    target: str
    flags: int = READ_ONLY


def of_container(tree: str) -> list[Binding]:
    """A binding for every file below ``tree``, the directory that a mount shows for one container.

    A link to a folder of the other mount is bound as one, but for that of block devices. All links lead to the same
    place below the container's directory there: it is asked for once, and every source is a file at its own place.
    """
    return _bindings(tree, _files(tree, ""))


def of_callers(mountpoint: str, folders: Collection[str]) -> list[Binding]:
    """A binding for every file of the tree that answers for whoever reads; ``folders`` (paths) are bound as a whole."""
    tops = (top for top in ("proc", "sys") if os.path.isdir(os.path.join(mountpoint, top)))
    return _bindings(mountpoint, (file for top in tops for file in _files(mountpoint, f"{top}/", folders)))


def _bindings(tree: str, files: Iterable[tuple[str, bool]]) -> list[Binding]:
    links = dict(files)
    other = next((top for path, is_link in links.items() if is_link and (top := _top_of_link(tree, path))), tree)
    found = [
        Binding(
            f"{other if links[path] else tree}/{path}",
            f"/{path}",
            WRITABLE if path.startswith(_TAKE_TRIGGERS) else READ_ONLY,
        )
        for path in sorted(links)
        if path != _DEVICES
    ]
    return found + list(islice(_of_devices(f"{other if links.get(_DEVICES) else tree}/{_DEVICES}"), _MOST_DEVICES))


def _top_of_link(tree: str, path: str) -> str | None:
    target = os.readlink(f"{tree}/{path}")
    return target[: -len(path) - 1] if target.endswith(f"/{path}") else None


def _of_devices(folder: str) -> Iterator[Binding]:
    """Bind over the file itself: all that sysfs has in class/block and in block are links to it."""
    if not os.path.isdir(folder):
        return  # not selected
    for name in sorted(os.listdir(folder)):
        yield Binding(f"{folder}/{name}/stat", os.path.realpath(f"/{_DEVICES}/{name}/stat"))


def _files(tree: str, below: str, whole: Collection[str] = ()) -> Iterator[tuple[str, bool]]:
    """Yield paths, and whether each is a link."""
    with os.scandir(os.path.join(tree, below)) as entries:
        for entry in entries:
            path = f"{below}{entry.name}"
            if path not in whole and entry.is_dir(follow_symlinks=False):
                yield from _files(tree, f"{path}/", whole)
            else:  # a file of this mount, or a link to one of the other mount
                yield path, entry.is_symlink()


class Bound:
    """Sources opened now, to be bound later: after pivot_root their paths lead nowhere."""

    def __init__(self, bindings: Iterable[Binding]) -> None:
        self._opened = [(os.open(one.source, os.O_PATH | os.O_CLOEXEC), one) for one in bindings]

    def apply(self) -> None:
        """Bind each source over its target in the caller's mount namespace, and close it.

        A target that this kernel does not have is left out. Needs a ``/proc`` of the caller's pid namespace.
        """
        for descriptor, binding in self._opened:
            try:
                bind(f"/proc/self/fd/{descriptor}", binding.target, binding.flags)
            except FileNotFoundError:
                continue
            finally:
                os.close(descriptor)
        self._opened.clear()


def bind(source: str, target: str, flags: int = READ_ONLY) -> None:
    """Bind ``source`` over ``target`` with these restrictions: a bind takes none, only a remount of it does."""
    syscalls.mount(source, target, flags=syscalls.MS_BIND)
    try:
        syscalls.mount("", target, flags=syscalls.MS_REMOUNT | syscalls.MS_BIND | flags)
    except OSError:
        syscalls.umount(target, syscalls.MNT_DETACH)  # never leave an unrestricted one behind
        raise
