"""Every view of every container of every recorded scene: from a kernel's control files to what a container reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cgroup_model.snapshot import Need, Policy, Snapshot
from procfs_fuse.views import TREES, VIEWS, View
from tests.scenes import Replay, names
from tests.scenes.archive import dump


@pytest.mark.parametrize("scene", names())
def test_recorded(scene: str, tmp_path: Path, golden: Callable[[str, bytes], None]) -> None:
    """A change of any byte that a container of a real kernel reads is seen in review.

    With ``--cpu-view=cpuset``, too, for those to which that shows more CPUs.
    """
    with Replay(scene, tmp_path) as replay:
        wide = replay.collector_with(Policy(cpu_view="cpuset"))
        for path, cgroup in replay.tree.containers().items():
            name = f"recorded/{scene}/{path}"
            snapshot = replay.collector.snapshot(cgroup, ~Need.NOTHING)
            golden(f"{name}.txt", contents_of(snapshot))
            if snapshot.cpus and snapshot.cpus.count < len(snapshot.cpus.usable):
                golden(f"{name}.cpuset.txt", contents_of(wide.snapshot(cgroup, ~Need.NOTHING)))


def contents_of(snapshot: Snapshot) -> bytes:
    """Return all files that a container is shown as one."""
    return dump({view.PATH: view.render(snapshot) for view in files_of(snapshot)})


def files_of(snapshot: Snapshot) -> Iterator[View]:
    """Yield what the container is shown: the files that it has, and those of its folders."""
    yield from (view for view in VIEWS.values() if view.exists is None or view.exists(snapshot))
    for tree in TREES.values():
        yield from tree.leaves(tree.key(snapshot))
