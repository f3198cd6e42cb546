"""``procfs-fuse show``."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Final

from cgroup_model.collect import Collector
from cgroup_model.engines import Resolver, container_path
from cgroup_model.hierarchy import Cgroup, Tree
from cgroup_model.history import History
from cgroup_model.host import HostFiles
from cgroup_model.mounts import OutOfSight, discover_mounts
from cgroup_model.procfs import Proc
from cgroup_model.snapshot import Policy
from cgroup_model.source import CgroupGone, Source
from cgroup_model.targets import TargetError, find
from cgscope.errors import Failure, UsageError, printable
from cgscope.suggest import did_you_mean
from procfs_fuse.cli._common import add_policy, policy_of
from procfs_fuse.views import VIEWS, View

EXAMPLES: Final = """\
examples:
  procfs-fuse show web meminfo             what a container named web sees as /proc/meminfo
  procfs-fuse show pid:4711 cpu/online
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
    view = view_named(arguments.file)
    try:
        content = _render(arguments.target, view, policy_of(arguments))
    except (TargetError, OutOfSight) as error:
        raise Failure(str(error)) from error
    except CgroupGone as error:
        raise Failure(f"container {arguments.target} is gone", "procfs-fuse show needs a running one") from error
    with open(1, "wb", closefd=False) as output:  # not sys.stdout, which is None where our caller closed it
        output.write(content)
    return 0


def view_named(name: str) -> View:
    """Find the view of ``/proc/meminfo``, ``proc/meminfo``, ``meminfo`` or ``cpu/online``; raises UsageError."""
    wanted = os.path.normpath(name).lstrip("/")
    if wanted in VIEWS:
        return VIEWS[wanted]
    matches = [view for path, view in VIEWS.items() if path.endswith(f"/{wanted}")]
    if len(matches) == 1:
        return matches[0]
    names = {path.rpartition("/")[2]: path for path in VIEWS}
    advice = did_you_mean(wanted, [*VIEWS, *names]) or f"one of {', '.join(sorted(names))}"
    raise UsageError(f"no virtual file {name!r}", advice)


def _render(target: str, view: View, policy: Policy) -> bytes:
    mounts = discover_mounts()
    with Source() as source:
        tree = Tree(mounts, source, container_path=container_path)
        cgroup = _find(target, tree)
        collector = Collector(tree, source, HostFiles(), policy, History(tree, source, Proc("/proc")))
        snapshot = collector.snapshot(cgroup, view.NEEDS)
    if view.exists is not None and not view.exists(snapshot):
        raise Failure(f"{cgroup.path} has no {view.PATH}", "this kernel keeps it for the machine only")
    if unknown := view.missing(snapshot):
        text = f"procfs-fuse show: {', '.join(unknown)} of {cgroup.path} unknown: the machine's values are shown"
        print(printable(text), file=sys.stderr)
    return view.render(snapshot)


def _find(target: str, tree: Tree) -> Cgroup:
    resolver = Resolver()
    containers = [(one.path, resolver.identify(one.path, one.inode)) for one in tree.containers().values()]
    places = [hierarchy.mountpoint for hierarchy in tree.mounts.hierarchies]
    path = find(target, containers, lambda pid: tree.cgroup_of_pid(pid).path, lambda path: _exists(tree, path), places)
    return tree.cgroup(path)


def _exists(tree: Tree, path: str) -> bool:
    try:
        tree.cgroup(path)
    except (CgroupGone, OutOfSight):
        return False
    return True
