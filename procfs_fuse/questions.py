"""Answers for processes that must agree with the virtual files, without reading them: the agent for system calls.

An answer over the control socket can be waited for with a time limit; a read of a file that is not answered cannot.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cgroup_model.layout import Cgroup
from cgroup_model.mounts import OutOfSight
from cgroup_model.procfs import NoSuchTask
from cgroup_model.source import CgroupGone
from cgscope.errors import Failure
from procfs_fuse.contents import Contents
from procfs_fuse.filesystem import CachedFileSystem
from procfs_fuse.views import VIEWS


@dataclass(frozen=True, slots=True)
class Questions:
    """What files show to the container of a process."""

    container_of: Callable[[int], Cgroup | None]
    contents: Contents
    cached: CachedFileSystem
    served: Collection[str]  # paths; of any other file containers see the machine's

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The operation ``shown`` of a `control_socket.Server`: see `shown`. Raises Failure."""
        try:
            return self.shown(int(request["pid"]), list(request["files"]))
        except (KeyError, ValueError, TypeError) as error:
            raise Failure("which process, and which files?") from error

    def shown(self, pid: int, paths: Sequence[str]) -> dict[str, Any]:
        """The files' texts, the container's cgroup path (None: the machine's files are shown), how long they stay so.

        JSON types. Raises OSError when the container is gone, KeyError on a path that is no virtual file.
        """
        cgroup = self._container(pid)
        shown = {} if cgroup is None else {path: self._text(cgroup, path) for path in paths}
        until_ns = min((until for _text, until in shown.values()), default=0)
        return {
            "container": None if cgroup is None else cgroup.path,
            "files": {path: text for path, (text, _until) in shown.items()},
            "until_ns": until_ns,
        }

    def _container(self, pid: int) -> Cgroup | None:
        if self.contents.passthrough:
            return None
        try:
            return self.container_of(pid)
        except (NoSuchTask, CgroupGone, OutOfSight):
            return None

    def _text(self, cgroup: Cgroup, path: str) -> tuple[str, int]:
        view = VIEWS[path]
        until_ns = time.monotonic_ns() + self.cached.ttl_ns
        if path not in self.served:
            content = self.contents.of_host(view)
        elif view.CACHEABLE:
            content, until_ns = self.cached.shown(cgroup, view)
        else:
            content = self.contents.of_container(cgroup, view)
        return content.decode("ascii", "replace"), until_ns
