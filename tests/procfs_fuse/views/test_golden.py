"""Every view on every scene, byte for byte, as it was read and approved once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cgroup_model.snapshot import Snapshot
from procfs_fuse.views import VIEWS, View


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_golden(
    scenes: dict[str, Callable[[], Snapshot]], scene: str, view: View, golden: Callable[[str, bytes], None]
) -> None:
    """A change of any byte that a container reads is seen in review."""
    golden(f"{scene}/{view.PATH}", view.render(scenes[scene]()))
