"""Mounting and unmounting, and which of our mounts exist, without ever touching what is mounted.

A mount is looked up in ``/proc/PID/mountinfo`` and never with ``stat``: on a mount whose server is stuck, ``stat``
waits for ever; on one that the calling process serves itself, it waits for itself.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from procfs_fuse.transport.negotiation import MAX_READ

DEVICE: Final = "/dev/fuse"
FSTYPE: Final = "fuse.procfs-fuse"
"""Type in mountinfo; the part behind the dot is the sub-type by which mounts of ours are known."""

# linux/mount.h, linux/fs.h
_MS_RDONLY: Final = 1
_MS_NOSUID: Final = 2
_MS_NODEV: Final = 4
_MS_NOEXEC: Final = 8
_MNT_FORCE: Final = 1
_MNT_DETACH: Final = 2
_UMOUNT_NOFOLLOW: Final = 8

_MAX_LINKS: Final = 40  # as many as the kernel follows

_NEED_ROOT: Final = "root (CAP_SYS_ADMIN) is needed"
_MOUNT_ERRORS: Final = {
    errno.EPERM: f"mounting is not permitted: {_NEED_ROOT}",
    errno.EACCES: f"mounting is not permitted: {_NEED_ROOT}",
    errno.ENOENT: "the mount point does not exist",
    errno.ENOTDIR: "the mount point is not a directory",
    errno.ENODEV: "this kernel has no FUSE file systems (module fuse)",
    errno.EINVAL: "the kernel refused the FUSE mount options",
    errno.ENOTCONN: "a dead FUSE mount is in the way; unmount it first",
}
_UMOUNT_ERRORS: Final = {
    errno.EPERM: f"unmounting is not permitted: {_NEED_ROOT}",
    errno.EINVAL: "nothing is mounted there",
    errno.ENOENT: "the mount point does not exist",
    errno.EBUSY: "the mount is in use",
}
_DEVICE_ERRORS: Final = {
    errno.ENOENT: "there is no such device: is the fuse module loaded (modprobe fuse), does the container see it?",
    errno.ENXIO: "the kernel's fuse module is not there (modprobe fuse)",
    errno.ENODEV: "the kernel's fuse module is not there (modprobe fuse)",
    errno.EPERM: "the device is not permitted here (a container's device rules?)",
    errno.EACCES: "opening the device is not permitted: root is needed",
}


class Mount(NamedTuple):
    """One line of mountinfo (proc_pid_mountinfo(5))."""

    mount_id: int
    device: str
    """``major:minor``; equal for all binds of one file system."""
    root: str
    mountpoint: str
    fstype: str
    source: str

    @property
    def is_ours(self) -> bool:
        """Whether it is a file system of this project."""
        return self.fstype == FSTYPE

    @property
    def is_volume(self) -> bool:
        """Whether it is a folder of a disk: what a container is given to mount on, to be seen outside as well."""
        return self.root != "/" and not self.fstype.startswith("fuse")

    @property
    def connection(self) -> int:
        """Number of the FUSE connection, as in `live_connections` and in the directory of fusectl."""
        return int(self.device.partition(":")[2])


def open_device(path: str = DEVICE) -> int:
    """Open a new, unmounted ``/dev/fuse`` descriptor (close-on-exec, non-blocking)."""
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise _explained(error.errno or 0, path, _DEVICE_ERRORS) from error


def mount(
    fd: int, mountpoint: str, fsname: str = "procfs-fuse", options: Sequence[str] = (), *, read_only: bool = False
) -> None:
    """Mount the file system that ``fd`` serves. Returns at once: INIT waits to be read from ``fd``.

    Others may enter (``allow_other``) and the kernel checks permissions by itself (``default_permissions``).
    ``options`` are further FUSE options such as ``max_read=65536``. ``read_only`` suits a cached connection: there
    every READ would otherwise make the next ``stat`` ask for the access time (fuse_invalidate_atime()).
    """
    flags = _MS_NOSUID | _MS_NODEV | _MS_NOEXEC | (_MS_RDONLY if read_only else 0)
    common = f"fd={fd},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions,max_read={MAX_READ}"
    result = _libc().mount(
        os.fsencode(fsname),
        os.fsencode(mountpoint),
        os.fsencode(FSTYPE),
        ctypes.c_ulong(flags),
        ",".join((common, *options)).encode(),
    )
    if result:
        raise _explained(ctypes.get_errno(), mountpoint, _MOUNT_ERRORS)


def source_of(mountpoint: str) -> str:
    """What mountinfo calls all mounts of the instance at ``mountpoint``: so they are known inside containers, too."""
    return f"procfs-fuse:{mountpoint}"


def unmount(mountpoint: str, *, detach: bool = False, abort: bool = False) -> None:
    """Unmount what is mounted last at ``mountpoint``.

    ``detach`` takes it out of the tree at once and ends it after its last user. ``abort`` first ends the
    connection: every request waiting there fails and every mount of it, in all containers, is dead.
    """
    flags = _UMOUNT_NOFOLLOW | (_MNT_DETACH if detach else 0) | (_MNT_FORCE if abort else 0)
    if _libc().umount2(os.fsencode(mountpoint), flags):
        raise _explained(ctypes.get_errno(), mountpoint, _UMOUNT_ERRORS)


def mounts(proc_root: str = "/proc", pid: int | str = "self") -> list[Mount]:
    """List the mounts that a process sees, oldest first."""
    with open(f"{proc_root}/{pid}/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
        return [_parse(line) for line in lines]


def mount_at(path: str, proc_root: str = "/proc") -> Mount | None:
    """Return what is mounted on top at ``path``, by whomever; None when ``path`` is no mount point."""
    place = _resolved(path)
    return next((found for found in reversed(mounts(proc_root)) if found.mountpoint == place), None)


def live_connections(proc_root: str = "/proc") -> frozenset[int] | None:
    """List the FUSE connections whose descriptor some process holds; a mount of any other connection is dead.

    None when the kernel does not tell: it does since Linux 6.17 ("fs: fuse: add more information to fdinfo"), to
    readers who may look into the holder. Aborted connections count as long as they are held.
    """
    described = list(_fuse_fdinfo(proc_root))
    told = re.findall(r"^fuse_connection:\s*(\d+)$", "\n".join(described), re.MULTILINE)
    return None if described and not told else frozenset(map(int, told))


def _fuse_fdinfo(proc_root: str) -> Iterator[str]:
    """Read the fdinfo of every ``/dev/fuse`` descriptor of every process."""
    for pid in filter(str.isdigit, os.listdir(proc_root)):
        try:
            for fd in os.listdir(f"{proc_root}/{pid}/fd"):
                if os.readlink(f"{proc_root}/{pid}/fd/{fd}").startswith(DEVICE):
                    with open(f"{proc_root}/{pid}/fdinfo/{fd}", encoding="ascii") as info:
                        yield info.read()
        except OSError:
            continue  # the process is gone, or not ours to look into


def _parse(line: str) -> Mount:
    """Split mount ID, parent ID, device, root, mount point, options, optional fields, "-", type, source, options."""
    before, _, after = line.rstrip("\n").partition(" - ")
    mount_id, _parent, device, root, mountpoint = before.split(" ")[:5]
    fstype, source = after.split(" ")[:2]
    return Mount(int(mount_id), device, _unescaped(root), _unescaped(mountpoint), fstype, _unescaped(source))


def _unescaped(text: str) -> str:
    """Undo the kernel's octal escapes for space, tab, newline, backslash and ``#``."""
    return re.sub(r"\\([0-7]{3})", lambda escape: chr(int(escape[1], 8)), text)


def _resolved(path: str) -> str:
    """``os.path.realpath`` without a ``stat`` of the last component, which may be a mount that does not answer."""
    for _ in range(_MAX_LINKS):
        parent, name = os.path.split(os.path.abspath(path))
        place = os.path.join(os.path.realpath(parent), name)
        try:
            path = os.path.join(os.path.dirname(place), os.readlink(place))
        except OSError:
            return place  # no symbolic link; a directory on FUSE says so without asking its server
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _explained(number: int, path: str, texts: Mapping[int, str]) -> OSError:
    """Build an OSError of the right subclass that says what to do."""
    return OSError(number, texts.get(number, os.strerror(number)), path)
