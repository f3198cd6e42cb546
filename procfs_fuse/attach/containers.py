"""The containers of the machine and, of each, the process whose mounts are the container's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from cgroup_model import control
from cgroup_model.control import ControlError
from cgroup_model.engines import Identity, Kind, Resolver, container_path, match
from cgroup_model.hierarchy import Tree
from cgroup_model.keys import escape_path
from cgroup_model.layout import Cgroup
from cgroup_model.mounts import OutOfSight, discover_mounts
from cgroup_model.procfs import NoSuchTask, Proc
from cgroup_model.source import CgroupGone, Source
from cgroup_model.targets import TargetError, find
from cgscope.errors import Failure
from procfs_fuse.attach import host


@dataclass(frozen=True, slots=True)
class Container:
    """A container, or a process's cgroup that is none, as `attach` wants it."""

    path: str  # of its cgroup
    pid: int  # whose mount namespace is the container's
    identity: Identity

    @property
    def title(self) -> str:
        """What people call it."""
        return f"{self.identity.engine}:{self.identity.title}" if self.identity.engine else self.path


class Machine:
    """Finds containers. Not for use by several threads at once."""

    def __init__(self) -> None:
        self._source = Source()
        self.tree = Tree(discover_mounts(), self._source, container_path=container_path, container_id=_container_id)
        self.resolver = Resolver()
        self.proc = Proc("/proc")
        self.host_namespaces = host.mount_namespaces()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of everything."""
        self.tree.close()
        self._source.close()
        self.proc.close()

    def find(self, target: str) -> Container:
        """The container that a TARGET of the command line means; raises Failure."""
        try:
            if target.startswith("pid:"):
                return self._of_pid(target)
            known = [(one.path, self.identify(one)) for one in self.tree.containers().values()]
            places = [hierarchy.mountpoint for hierarchy in self.tree.mounts.hierarchies]
            path = find(target, known, self._path_of_pid, self.exists, places)
            return self.at(path)
        except (TargetError, OutOfSight, ControlError) as error:
            raise Failure(str(error)) from error
        except (CgroupGone, NoSuchTask) as error:
            raise Failure(f"container {target} is gone") from error

    def all(self) -> Iterator[Container]:
        """Every container that has a mount namespace of its own now."""
        for cgroup in list(self.tree.containers().values()):
            identity = self.identify(cgroup)
            if identity.kind is not Kind.CONTAINER:
                continue
            pid = self.main_process(cgroup.path)
            if pid is not None:
                yield Container(cgroup.path, pid, identity)

    def at(self, path: str) -> Container:
        """The container whose cgroup is ``path``. Raises Failure when no process there has mounts of its own."""
        cgroup = self.tree.cgroup(path)
        pid = self.main_process(path)
        if pid is None:
            raise Failure(f"no process of {path} has mounts of its own", "is it a container, and does it run?")
        return Container(path, pid, self.identify(cgroup))

    def of_process(self, pid: int) -> Container | None:
        """The innermost container that a process is in; None when it is in none. Raises as `Tree.cgroup_of_pid`."""
        cgroup = self.tree.cgroup_of_pid(pid)
        found = container_path(cgroup.path)
        if found is not None and found != cgroup.path:
            cgroup = self.tree.cgroup(found)
        identity = self.identify(cgroup)
        if identity.kind is not Kind.CONTAINER:
            return None
        return Container(cgroup.path, pid, identity)

    def key_of(self, path: str) -> str:
        """The name under which instances show the cgroup at ``path``: with many containers that takes a while."""
        keys = {one.path: key for key, one in self.tree.containers().items()}
        return keys.get(path) or escape_path(path)

    def identify(self, cgroup: Cgroup) -> Identity:
        """What people call the container of a cgroup."""
        return self.resolver.identify(cgroup.path, cgroup.inode)

    def main_process(self, path: str) -> int | None:
        """The first process of a cgroup that is not in the host's mount namespace: an init, else the oldest."""
        try:
            pids = control.procs(self.tree.mounts, path)
        except ControlError:
            return None
        own = [pid for pid in pids if pid and self._has_own_mounts(pid)]
        return next((pid for pid in own if self.is_init(pid)), next(iter(own), None))

    def is_init(self, pid: int) -> bool:
        """Whether a process is number 1 in its pid namespace, which is not ours."""
        try:
            numbers = self.proc.namespace_pids(pid)
        except NoSuchTask:
            return False
        return len(numbers) > 1 and numbers[-1] == 1

    def _has_own_mounts(self, pid: int) -> bool:
        namespace = self.proc.namespace(pid, "mnt")
        return namespace is not None and namespace not in self.host_namespaces

    def _of_pid(self, target: str) -> Container:
        path = find(target, (), self._path_of_pid, self.exists)
        cgroup = self.tree.cgroup(path)
        return Container(path, int(target.removeprefix("pid:")), self.identify(cgroup))

    def _path_of_pid(self, pid: int) -> str:
        return self.tree.cgroup_of_pid(pid).path

    def exists(self, path: str) -> bool:
        """Whether there is a cgroup at ``path``."""
        try:
            self.tree.cgroup(path)
        except (CgroupGone, OutOfSight):
            return False
        return True


def _container_id(path: str) -> str | None:
    found = match(path)
    return found.id if found is not None else None
