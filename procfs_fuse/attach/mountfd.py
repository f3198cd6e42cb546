"""Mounts as descriptors: taken in one mount namespace, put down in another.

A plain bind mount refuses a source of another namespace; a detached clone has none (open_tree(2), move_mount(2), since
Linux 5.2; mount_setattr(2), since 5.12). Constants: ``include/uapi/linux/mount.h``, numbers: the generic table of
``include/uapi/asm-generic/unistd.h``, which all architectures share for calls that new.
"""

from __future__ import annotations

import ctypes
import errno
import os
from typing import Final

from procfs_fuse import syscalls

_OPEN_TREE: Final = 428
_MOVE_MOUNT: Final = 429
_MOUNT_SETATTR: Final = 442

_OPEN_TREE_CLONE: Final = 1
_AT_EMPTY_PATH: Final = 0x1000
_MOVE_FROM_EMPTY_PATH: Final = 0x4
_MOVE_TO_EMPTY_PATH: Final = 0x40
_MOVE_BENEATH: Final = 0x200

_RESTRICTIONS: Final = syscalls.MS_RDONLY | syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
"""Flags of mount(2) that are MOUNT_ATTR_* of mount_setattr(2) by the same number."""

_libc: Final = ctypes.CDLL(None, use_errno=True)


class _MountAttributes(ctypes.Structure):
    """struct mount_attr."""

    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


def clone(descriptor: int) -> int:
    """Clone the mount that an open file or directory is in, as seen from there down. Raises OSError."""
    flags = ctypes.c_uint(_OPEN_TREE_CLONE | _AT_EMPTY_PATH | os.O_CLOEXEC)
    return _call(_OPEN_TREE, "", ctypes.c_int(descriptor), b"", flags)


def restrict(descriptor: int, flags: int) -> bool:
    """Apply the restrictions of mount(2) ``flags`` to a clone; False where the kernel cannot yet. Raises OSError."""
    attributes = _MountAttributes(attr_set=flags & _RESTRICTIONS, propagation=syscalls.MS_PRIVATE)
    size = ctypes.c_size_t(ctypes.sizeof(attributes))
    try:
        _call(
            _MOUNT_SETATTR,
            "",
            ctypes.c_int(descriptor),
            b"",
            ctypes.c_uint(_AT_EMPTY_PATH),
            ctypes.byref(attributes),
            size,
        )
    except OSError as error:
        if error.errno == errno.ENOSYS:
            return False
        raise
    return True


def put(descriptor: int, place: int, name: str) -> None:
    """Mount a clone over the open file or directory ``place``; an error is about ``name``. Raises OSError."""
    flags = ctypes.c_uint(_MOVE_FROM_EMPTY_PATH | _MOVE_TO_EMPTY_PATH)
    _call(_MOVE_MOUNT, name, ctypes.c_int(descriptor), b"", ctypes.c_int(place), b"", flags)


def put_beneath(descriptor: int, place: int, name: str) -> bool:
    """Mount a clone below the mount whose root ``place`` is, so that nothing changes until that one is taken away.

    False where that cannot be: before Linux 6.5, or where mounts are propagated. Raises OSError about ``name``.
    """
    flags = ctypes.c_uint(_MOVE_FROM_EMPTY_PATH | _MOVE_TO_EMPTY_PATH | _MOVE_BENEATH)
    try:
        _call(_MOVE_MOUNT, name, ctypes.c_int(descriptor), b"", ctypes.c_int(place), b"", flags)
    except OSError as error:
        if error.errno == errno.EINVAL:
            return False
        raise
    return True


def supported() -> bool:
    """Whether the kernel has these calls and lets us make them (a seccomp filter may not)."""
    top = os.open("/", os.O_PATH | os.O_CLOEXEC)
    try:
        os.close(clone(top))
    except OSError as error:
        return error.errno not in {errno.ENOSYS, errno.EPERM}
    finally:
        os.close(top)
    return True


def _call(number: int, path: str, *arguments: object) -> int:
    result = int(_libc.syscall(ctypes.c_long(number), *arguments))
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), *([path] if path else []))
    return result
