"""Which files an answer is made of on this machine: those that are really read, found by watching it."""

from __future__ import annotations

import os
from collections.abc import Callable
from unittest import mock

from cgroup_model.collect import Collector
from cgroup_model.engines import container_path
from cgroup_model.hierarchy import Tree
from cgroup_model.history import History
from cgroup_model.host import HostFiles
from cgroup_model.mounts import discover_mounts
from cgroup_model.procfs import Proc
from cgroup_model.snapshot import Need
from cgroup_model.source import Source
from ctop.columns import COLUMNS, DEFAULT, needs_of
from ctop.live import Live
from procfs_fuse.views import VIEWS


def files_read(look: Callable[[], object]) -> list[str]:
    """Names of the files from which a second look reads; the first one finds out what there is."""
    look()
    found: dict[str, None] = {}

    def watched(read: Callable[..., bytes]) -> Callable[..., bytes]:
        def call(fd: int, *more: int) -> bytes:
            found[os.readlink(f"/proc/self/fd/{fd}")] = None
            return read(fd, *more)

        return call

    with mock.patch("os.pread", watched(os.pread)), mock.patch("os.read", watched(os.read)):
        look()
    return [name for name in found if name.startswith("/")]


def files_behind(path: str, *names: str) -> list[str]:
    """Name the control files and the machine's files behind ``proc/<name>`` of a cgroup, settings included."""
    source, views = Source(), [VIEWS[f"proc/{name}"] for name in names]
    tree = Tree(discover_mounts(), source, container_path=container_path)
    try:
        history = History(tree, source, Proc("/proc"))
        collector = Collector(tree, source, HostFiles(), history=history)
        return files_read(lambda: [collector.snapshot(tree.cgroup(path), view.NEEDS) for view in views])
    finally:
        tree.close()
        source.close()


def files_of_list(rows: int) -> list[str]:
    """Name the files of one look of ctop: CPU time of every cgroup, all columns of so many of them."""
    live = Live()

    def look() -> None:
        scene = live.survey(frozenset({"cpu"}), Need.NOTHING)
        live.look(scene, list(scene.entries)[-rows:], needs_of(COLUMNS[name] for name in DEFAULT) & ~Need.AGE)

    try:
        return files_read(look)
    finally:
        live.close()
