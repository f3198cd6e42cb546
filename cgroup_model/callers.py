"""From the pid of whoever asks to the container it is in.

The order of evidence, first hit wins:

1. the innermost container cgroup on the caller's own cgroup path. So containers that share a pid namespace (Kubernetes'
   ``shareProcessNamespace``, ``podman --share pid``) each get their own answer;
2. the root of the caller's cgroup namespace, if that is not ours;
3. the container of, or else the cgroup of, the init of the caller's pid namespace, if that is not ours;
4. the host.

Sources: cgroup_namespaces(7), pid_namespaces(7).
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable

from cgroup_model.hierarchy import Tree
from cgroup_model.layout import Cgroup, path_in
from cgroup_model.mounts import OutOfSight
from cgroup_model.parse import proc_cgroup
from cgroup_model.procfs import NoSuchTask, Proc
from cgroup_model.source import CgroupGone

_CLONE_NEWCGROUP = 0x02000000  # include/uapi/linux/sched.h
_MOST_REMEMBERED = 4096

ContainerPath = Callable[[str], str | None]


class Callers:
    """Finds containers of callers. Not for use by several threads at once."""

    def __init__(self, tree: Tree, proc: Proc, container_path: ContainerPath) -> None:
        self._tree = tree
        self._primary = tree.mounts.primary
        self._proc = proc
        self._container_path = container_path
        self._own_paths: dict[bytes, str] = {}  # text of /proc/PID/cgroup -> path in the primary hierarchy
        self._by_membership: dict[bytes, str | None] = {}  # text of /proc/PID/cgroup -> container's path

    def container_of(self, pid: int) -> Cgroup | None:
        """The container of a process or thread; None for the host.

        Raises `NoSuchTask` when it ended or cannot be seen from here, `CgroupGone` when its cgroup is gone.
        """
        if pid <= 0:
            raise NoSuchTask(pid)
        membership = self._proc.read(f"{pid}/cgroup")
        path = self._path_by_membership(membership)
        if path is None:
            path = self._path_by_namespace(pid)
        return None if path is None else self._tree.cgroup(path)

    def _path_by_membership(self, membership: bytes) -> str | None:
        if membership not in self._by_membership:
            _make_room(self._by_membership)
            self._by_membership[membership] = self._innermost(membership)
        return self._by_membership[membership]

    def _innermost(self, membership: bytes) -> str | None:
        """Asks the primary hierarchy first; an engine may have put only some v1 controllers below its own path."""
        lines = proc_cgroup(membership)
        primary = path_in(self._primary, lines)
        for path in [primary, *(line.path for line in lines)]:
            if path is not None and (found := self._container_path(path)) is not None and self._exists(found):
                return found
        return None

    def _exists(self, path: str) -> bool:
        try:
            self._tree.cgroup(path)
        except (CgroupGone, OutOfSight):
            return False
        return True

    def _path_by_namespace(self, pid: int) -> str | None:
        """Nothing is remembered here: the kernel gives a namespace's number to the next one at once."""
        path = None
        if self._proc.namespace(pid, "cgroup") not in (None, self._proc.own_cgroup_namespace):
            path = self._cgroup_namespace_root(pid)
        if path is None and self._proc.namespace(pid, "pid") not in (None, self._proc.own_pid_namespace):
            path = self._cgroup_of_init(pid)
        return path

    def _cgroup_of_init(self, pid: int) -> str | None:
        init = self._proc.init_of(pid)
        if init is None:
            return None
        membership = self._proc.read(f"{init}/cgroup")
        found = self._path_by_membership(membership)
        if found is not None:
            return found
        path = self._own_path(membership).removesuffix("/init.scope")
        return path if path not in ("", "/") else None

    def _own_path(self, membership: bytes) -> str:
        """Path in the primary hierarchy; the same text always means the same."""
        known = self._own_paths.get(membership)
        if known is None:
            path = path_in(self._primary, proc_cgroup(membership))
            if path is None:
                raise OutOfSight(f"a process is in no cgroup of {self._primary.mountpoint}")
            _make_room(self._own_paths)
            known = self._own_paths[membership] = self._primary.path(self._primary.directory(path))
        return known

    def _cgroup_namespace_root(self, pid: int) -> str | None:
        """Path of the root of a process's cgroup namespace: its path as we see it, less its path as it sees it."""
        inside = self._path_seen_from_inside(pid)
        path = self._own_path(self._proc.read(f"{pid}/cgroup"))
        if inside is None or inside.startswith("/.."):
            return None
        root = path.removesuffix(inside.rstrip("/"))
        return root if root not in ("", "/") else None

    def _path_seen_from_inside(self, pid: int) -> str | None:
        """``/proc/PID/cgroup`` as read in the process's own cgroup namespace, by a thread that enters it and ends."""
        seen: list[bytes] = []

        def enter_and_read() -> None:
            try:
                fd = os.open(f"{self._proc.root}/{pid}/ns/cgroup", os.O_RDONLY | os.O_CLOEXEC)
                try:
                    if ctypes.CDLL(None, use_errno=True).setns(fd, _CLONE_NEWCGROUP) == 0:
                        seen.append(self._proc.read(f"{pid}/cgroup"))
                finally:
                    os.close(fd)
            except (OSError, NoSuchTask):
                return

        thread = threading.Thread(target=enter_and_read, name="cgroup-namespace")
        thread.start()
        thread.join()
        return path_in(self._primary, proc_cgroup(seen[0])) if seen else None


def _make_room(cache: dict[bytes, str] | dict[bytes, str | None]) -> None:
    if len(cache) >= _MOST_REMEMBERED:
        cache.clear()
