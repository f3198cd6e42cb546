"""The file systems that a container sees, made in its own mount namespace.

Everything is mounted *after* pivot_root: then a symbolic link inside a hostile root leads to a place inside it.
What has to come from the host is opened before and bound through ``/proc/self/fd``.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable
from typing import Final

from cgroup_model.mounts import parse_mountinfo
from cgscope.errors import Failure
from procfs_fuse import syscalls
from procfs_fuse.bindings import DEVICE, WRITABLE, Binding, Bound, bind
from procfs_fuse.instances import FILE_SYSTEM

_DEVICES: Final = ("null", "zero", "full", "random", "urandom", "tty")
_LINKS: Final = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}
_KERNEL_SETTINGS: Final = ("sys", "sysrq-trigger", "irq", "bus", "fs")  # of the whole machine, below /proc


def make_private() -> None:
    """Keep every later mount of this namespace to itself."""
    try:
        syscalls.mount("", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise Failure(
            "the root directory here is not a mount point, as in a plain chroot: no container can be made in it",
            "bind the directory onto itself before entering it: mount --rbind DIR DIR && chroot DIR",
        ) from error


def mount_proc() -> None:
    """Mount the process table of the caller's pid namespace."""
    syscalls.mount("proc", "/proc", "proc", WRITABLE)


def instances() -> list[str]:
    """Where our file systems are mounted as a whole, the last one first.

    A container has no business with them: they show every container's files, and its copy of the mount would keep a
    server from ending.
    """
    with open("/proc/self/mountinfo", "rb") as file:
        mounts = parse_mountinfo(file.read())
    return [mount.mountpoint for mount in reversed(mounts) if mount.filesystem == FILE_SYSTEM and mount.root == "/"]


def detach(places: Iterable[str]) -> None:
    """Unmount what `instances` found. One may have gone since: who removes a mount point takes the mount along."""
    for place in places:
        try:
            syscalls.umount(place, syscalls.MNT_DETACH)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EINVAL):  # no such folder, not a mount point any more
                raise


def enter(rootfs: str) -> None:
    """Make ``rootfs`` the root. The host's root stays stacked on the working directory until `leave_host`."""
    syscalls.mount(rootfs, rootfs, flags=syscalls.MS_BIND | syscalls.MS_REC)
    os.chdir(rootfs)
    syscalls.pivot_root(".", ".")


def leave_host() -> None:
    """Let go of the host's root."""
    syscalls.umount(".", syscalls.MNT_DETACH)
    os.chdir("/")


def device_bindings() -> list[Binding]:
    """The devices that every program may use, and the terminal of standard input as ``/dev/console``."""
    bindings = [Binding(f"/dev/{name}", f"/dev/{name}", DEVICE) for name in _DEVICES]
    if os.isatty(0):
        bindings.append(Binding("/proc/self/fd/0", "/dev/console", DEVICE))
    return bindings


def populate(devices: Bound, device_targets: list[str]) -> None:
    """Mount proc, sys and dev in a fresh root, as other container engines do."""
    for path, mode in (("/proc", 0o555), ("/sys", 0o555), ("/dev", 0o755), ("/tmp", 0o1777)):  # noqa: S108
        _make_directory(path, mode)
    mount_proc()
    for name in _KERNEL_SETTINGS:
        if os.path.lexists(f"/proc/{name}"):
            bind(f"/proc/{name}", f"/proc/{name}")
    syscalls.mount("sysfs", "/sys", "sysfs", WRITABLE | syscalls.MS_RDONLY)
    syscalls.mount("tmpfs", "/dev", "tmpfs", syscalls.MS_NOSUID, "mode=755,size=64k")
    for target in device_targets:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
    devices.apply()
    for name, target in _LINKS.items():
        os.symlink(target, f"/dev/{name}")
    os.mkdir("/dev/pts", 0o755)
    no_programs = syscalls.MS_NOSUID | syscalls.MS_NOEXEC
    syscalls.mount("devpts", "/dev/pts", "devpts", no_programs, "newinstance,ptmxmode=0666,mode=620,gid=5")
    os.mkdir("/dev/shm", 0o1777)  # noqa: S108
    syscalls.mount("tmpfs", "/dev/shm", "tmpfs", WRITABLE, "mode=1777")  # noqa: S108


def _make_directory(path: str, mode: int) -> None:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        os.mkdir(path)
        os.chmod(path, mode)
    else:
        if not stat.S_ISDIR(status.st_mode):
            raise NotADirectoryError(20, "is not a directory in this root file system", path)
