"""``procfs-fuse show``."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Final, NamedTuple

from cgroup_model.collect import Collector
from cgroup_model.engines import Resolver, container_path
from cgroup_model.hierarchy import Cgroup
from cgroup_model.hierarchy import Tree as HierarchyTree
from cgroup_model.history import History
from cgroup_model.host import HostFiles
from cgroup_model.mounts import OutOfSight, discover_mounts
from cgroup_model.procfs import Proc
from cgroup_model.snapshot import Policy, Snapshot
from cgroup_model.source import CgroupGone, Source
from cgroup_model.targets import TargetError, find
from cgscope.errors import Failure, UsageError, printable
from cgscope.suggest import did_you_mean
from procfs_fuse.cli._common import add_policy, policy_of
from procfs_fuse.views import TREES, VIEWS, Tree, View

EXAMPLES: Final = """\
examples:
  procfs-fuse show web meminfo             what a container named web sees as /proc/meminfo
  procfs-fuse show pid:4711 cpu/online
  procfs-fuse show web cpu/cpu0/topology/core_id
  procfs-fuse show /system.slice/ssh.service /proc/uptime
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "target", metavar="TARGET", help="container id or its beginning, name, engine:name, pid:N or cgroup path"
    )
    parser.add_argument("file", metavar="FILE", help="such as meminfo, proc/stat, /sys/devices/system/cpu/online")
    add_policy(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the file."""
    wanted = _named(arguments.file)
    try:
        content = _render(arguments.target, wanted, policy_of(arguments))
    except (TargetError, OutOfSight) as error:
        raise Failure(str(error)) from error
    except CgroupGone as error:
        raise Failure(f"container {arguments.target} is gone", "procfs-fuse show needs a running one") from error
    with open(1, "wb", closefd=False) as output:  # not sys.stdout, which is None where our caller closed it
        output.write(content)
    return 0


class _Inside(NamedTuple):
    """A file of a folder whose files depend on the container."""

    folder: Tree
    path: str


def _named(name: str) -> View | _Inside:
    """Find ``/proc/meminfo``, ``meminfo``, ``cpu/online`` or ``node/node0/meminfo``; raises UsageError."""
    wanted = os.path.normpath(name).lstrip("/")
    if wanted in VIEWS:
        return VIEWS[wanted]
    matches = [view for path, view in VIEWS.items() if path.endswith(f"/{wanted}")]
    if len(matches) == 1:
        return matches[0]
    for folder in TREES.values():
        for prefix in (folder.PATH, folder.PATH.rpartition("/")[2]):
            if wanted.startswith(f"{prefix}/"):
                return _Inside(folder, f"{folder.PATH}/{wanted.removeprefix(f'{prefix}/')}")
    names = {path.rpartition("/")[2]: path for path in VIEWS}
    advice = did_you_mean(wanted, [*VIEWS, *names]) or f"one of {', '.join(sorted(names))}"
    raise UsageError(f"no virtual file {name!r}", advice)


def _render(target: str, wanted: View | _Inside, policy: Policy) -> bytes:
    mounts = discover_mounts()
    with Source() as source:
        tree = HierarchyTree(mounts, source, container_path=container_path)
        cgroup = _find(target, tree)
        history = History(tree, source, Proc("/proc"), throttled_as_steal=policy.throttled_as_steal)
        collector = Collector(tree, source, HostFiles(), policy, history)
        view = wanted if isinstance(wanted, View) else _leaf(wanted, collector.snapshot(cgroup, wanted.folder.NEEDS))
        snapshot = collector.snapshot(cgroup, view.NEEDS)
    if view.exists is not None and not view.exists(snapshot):
        raise Failure(f"{cgroup.path} has no {view.PATH}", "this kernel keeps it for the machine only")
    if unknown := view.missing(snapshot):
        text = f"procfs-fuse show: {', '.join(unknown)} of {cgroup.path} unknown: the machine's values are shown"
        print(printable(text), file=sys.stderr)
    return view.render(snapshot)


def _leaf(wanted: _Inside, snapshot: Snapshot) -> View:
    """Find the file among those that this very container has."""
    there = {leaf.PATH: leaf for leaf in wanted.folder.leaves(wanted.folder.key(snapshot))}
    if wanted.path in there:
        return there[wanted.path]
    below = wanted.path.rstrip("/") + "/"
    names = [path for path in there if path.startswith(below)] or list(there)
    advice = f"one of its {len(names)} files, such as {names[0]}" if names else "this machine has no such folder"
    raise Failure(f"{snapshot.path} has no file {wanted.path}", advice)


def _find(target: str, tree: HierarchyTree) -> Cgroup:
    resolver = Resolver()
    containers = [(one.path, resolver.identify(one.path, one.inode)) for one in tree.containers().values()]
    places = [hierarchy.mountpoint for hierarchy in tree.mounts.hierarchies]
    path = find(target, containers, lambda pid: tree.cgroup_of_pid(pid).path, lambda path: _exists(tree, path), places)
    return tree.cgroup(path)


def _exists(tree: HierarchyTree, path: str) -> bool:
    try:
        tree.cgroup(path)
    except (CgroupGone, OutOfSight):
        return False
    return True
