"""The package under a systemd that is the first process, on a kernel of its own."""

from __future__ import annotations

import io
import os
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from scripts import deb
from scripts.debian_tools import Tool
from tests.guest.errors import GuestError
from tests.guest.machine import Settings, run_guest
from tests.guest.run import prepare
from tests.integration.command_line import REPOSITORY
from tests.packages.debian import made_once

pytestmark = pytest.mark.long

DEBIAN: Final = ("systemd", "systemd-container", "dbus", "python3", "procps")
LIBRARIES: Final = Path(sysconfig.get_path("purelib"))
"""For the Debian's own Python, for which the packages are made, too."""

TIMEOUT_SECONDS: Final = 1800


@pytest.fixture(scope="module")
def kernel() -> tuple[Path, Path]:
    """The guest's kernel, and busybox."""
    try:
        return prepare()
    except GuestError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"guest: {error}")


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This version, as `make deb` leaves it, and the next one."""
    folder = tmp_path_factory.mktemp("packages")
    deb.build(folder / "dist")
    deb.build(folder / "next", "999")
    return folder


@pytest.mark.parametrize("world", ["v2", "hybrid"])
def test_under_systemd(world: str, kernel: tuple[Path, Path], packages: Path, tool: Callable[[str], Tool]) -> None:
    """Everything in under_systemd.py holds, with each layout of control groups that systemd makes."""
    story = REPOSITORY / "tests/packages/under_systemd.py"
    settings = Settings(
        command=("/usr/bin/python3", "-m", "pytest", "-x", "-p", "no:cacheprovider", "--color=no", str(story)),
        world=world,
        system=made_once(tool, DEBIAN),
        readable=(REPOSITORY, LIBRARIES, packages),
        timeout_seconds=TIMEOUT_SECONDS,
        directory=REPOSITORY,
        environment={
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            "LC_ALL": "C.UTF-8",
            "PYTHONPATH": f"{REPOSITORY}:{LIBRARIES}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "DEBIAN_FRONTEND": "noninteractive",
            "CGSCOPE_PACKAGES": str(packages),
        },
    )
    output, errors = io.BytesIO(), io.BytesIO()
    outcome = run_guest(*kernel, settings, output, errors)
    assert outcome.exit_code == 0, (output.getvalue() + errors.getvalue()).decode(errors="replace")
