"""A process whose mount namespace is to be changed, held so that its number cannot come to mean another one."""

from __future__ import annotations

import contextlib
import errno
import os
import select
from typing import Final, Self

from cgscope.errors import Failure
from procfs_fuse.attach import host

_ENDED: Final = frozenset({errno.ENOENT, errno.ESRCH})


class Gone(Exception):
    """The process has ended."""


class Refused(Failure):
    """This process's mounts must not be touched; the message says why."""


class Target:
    """Descriptors of a process's namespaces and root. Raises `Gone`, `Refused`, OSError."""

    def __init__(self, pid: int, proc_root: str = "/proc") -> None:
        self.pid = pid
        with contextlib.ExitStack() as undo:
            try:
                self._pidfd = self._keep(undo, os.pidfd_open(pid))
                folder = f"{proc_root}/{pid}"
                self.mount_namespace = self._keep(undo, os.open(f"{folder}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC))
                pid_namespace = self._keep(undo, os.open(f"{folder}/ns/pid", os.O_RDONLY | os.O_CLOEXEC))
                self.root = self._keep(undo, os.open(f"{folder}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
            except OSError as error:
                raise _translated(error, pid) from error
            if os.readlink(f"/proc/self/fd/{self.mount_namespace}") in host.mount_namespaces(proc_root):
                raise Refused(f"process {pid} is in the host's own mount namespace", "there is no container to attach")
            # The table of kernel.* sysctls is the pid namespace's own since Linux 6.14; it is left alone where shared.
            shared = _same(pid_namespace, f"{proc_root}/self/ns/pid")
            self.pid_namespace = None if shared else pid_namespace
            if self.gone:  # what was opened may have been of a process that ended in between
                raise Gone(pid)
            self._kept = undo.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._kept.close()

    @property
    def gone(self) -> bool:
        """Whether the process has ended."""
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        return bool(poll.poll(0))

    @staticmethod
    def _keep(undo: contextlib.ExitStack, descriptor: int) -> int:
        undo.callback(os.close, descriptor)
        return descriptor


def _translated(error: OSError, pid: int) -> Exception:
    if error.errno in _ENDED:
        return Gone(pid)
    if isinstance(error, PermissionError):
        return Refused(f"process {pid} may not be looked into", "root of the machine is needed")
    return error


def _same(namespace: int, path: str) -> bool:
    ours, theirs = os.stat(path), os.fstat(namespace)
    return (ours.st_dev, ours.st_ino) == (theirs.st_dev, theirs.st_ino)
