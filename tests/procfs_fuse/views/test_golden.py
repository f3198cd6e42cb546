"""Every view on every scene, byte for byte, as it was read and approved once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cgroup_model.snapshot import Snapshot
from procfs_fuse.views import TREES, VIEWS, Tree, View


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_golden(
    scenes: dict[str, Callable[[], Snapshot]], scene: str, view: View, golden: Callable[[str, bytes], None]
) -> None:
    """A change of any byte that a container reads is seen in review."""
    golden(f"{scene}/{view.PATH}", view.render(scenes[scene]()))


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
def test_golden_folder(
    scenes: dict[str, Callable[[], Snapshot]], scene: str, tree: Tree, golden: Callable[[str, bytes], None]
) -> None:
    """The same for the folders whose files depend on the container, all their files in one."""
    snapshot = scenes[scene]()
    leaves = sorted(tree.leaves(tree.key(snapshot)), key=lambda view: view.PATH)
    lines = [
        f"{view.PATH}: ".encode() + line for view in leaves for line in view.render(snapshot).splitlines() or [b""]
    ]
    golden(f"{scene}/{tree.PATH}.txt", b"\n".join(lines) + b"\n")
