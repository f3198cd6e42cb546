"""What all tests of engines share: an instance, a root file system, and what must not be left behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scripts.debian_tools import Tool
from tests.integration.command_line import CommandLine
from tests.integration.engines import oci_runtime, rootfs, truth
from tests.integration.engines.oci_runtime import Runtime
from tests.integration.reach import let_others_in


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """The command with an instance of the module's own."""
    folder = let_others_in(tmp_path_factory.mktemp("instance"))  # root of a user namespace is one of them
    command = CommandLine(folder / "state")
    (folder / "mount").mkdir(mode=0o755)
    started = command("mount", str(folder / "mount"))
    assert started.returncode == 0, started.stderr
    yield command
    command.close()


@pytest.fixture(scope="session")
def root_file_system(tmp_path_factory: pytest.TempPathFactory, tool: Callable[[str], Tool]) -> Path:
    """A small root file system, shared by all tests: none writes to it."""
    return rootfs.build(tmp_path_factory.mktemp("engines") / "root", tool)


@pytest.fixture(params=["runc", "crun"])
def runtime(request: pytest.FixtureRequest, tmp_path: Path, tool: Callable[[str], Tool]) -> Iterator[Runtime]:
    """Each of the two, without an engine."""
    yield Runtime(tool(request.param), tmp_path)
    oci_runtime.discard(oci_runtime.PARENT)


@pytest.fixture(autouse=True)
def host_is_untouched() -> Iterator[None]:
    """Whatever a container is shown, nothing is mounted over the host's own files."""
    before = truth.untouched()
    yield
    assert truth.untouched() == before
