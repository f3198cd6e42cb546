"""Which files a virtual file is made of on this machine: those that the model really reads, found by watching it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cgroup_model.collect import Collector
from cgroup_model.engines import container_path
from cgroup_model.hierarchy import Tree
from cgroup_model.history import History
from cgroup_model.host import HostFiles
from cgroup_model.mounts import discover_mounts
from cgroup_model.procfs import Proc
from cgroup_model.source import Source
from procfs_fuse.views import VIEWS


class _Watched(Source):
    """Takes down what is read."""

    def __init__(self) -> None:
        super().__init__()
        self.files: dict[str, None] = {}

    def read(self, directory: str, name: str) -> bytes:
        data = super().read(directory, name)
        self.files[f"{directory}/{name}"] = None
        return data

    def read_all(self, directory: str, names: Sequence[str], *, keep: bool = True) -> tuple[bytes | None, ...]:
        found = super().read_all(directory, names, keep=keep)
        self.files |= {f"{directory}/{name}": None for name, data in zip(names, found, strict=True) if data is not None}
        return found


def files_behind(path: str, name: str) -> list[str]:
    """List the control files and the machine's file behind ``proc/<name>`` of a cgroup."""
    source, view = _Watched(), VIEWS[f"proc/{name}"]
    tree = Tree(discover_mounts(), source, container_path=container_path)
    try:
        history = History(tree, source, Proc("/proc"))
        collector = Collector(tree, source, HostFiles(), history=history)
        look: Callable[[], object] = lambda: collector.snapshot(tree.cgroup(path), view.NEEDS)  # noqa: E731
        look()
        source.files.clear()  # those of the first look only
        look()
        return [f"/proc/{name}", *source.files]
    finally:
        tree.close()
        source.close()
