"""What a container's root is made of."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from procfs_fuse.launcher import rootfs


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may unmount")
def test_an_instance_may_go_while_a_container_starts(tmp_path: Path) -> None:
    """Its folder is gone, or is no mount point any more: nothing is left to do, and the container starts."""
    rootfs.detach([str(tmp_path / "gone"), str(tmp_path)])
