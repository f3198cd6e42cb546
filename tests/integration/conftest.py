"""What tests of the mounted file system share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from procfs_fuse.transport import mounting
from tests.integration.command_line import CommandLine


@pytest.fixture
def command(tmp_path: Path) -> Iterator[CommandLine]:
    """The command with state of its own; what a failed test left running is stopped."""
    command = CommandLine(tmp_path / "state")
    yield command
    command.close()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """An empty directory to mount on."""
    place = tmp_path / "a mount point"
    place.mkdir()
    yield place
    while mounting.mount_at(str(place)):
        mounting.unmount(str(place), detach=True)
