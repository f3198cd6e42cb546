"""``procfs-fuse restart``."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any, Final

from cgscope.errors import Failure
from procfs_fuse import background
from procfs_fuse.cli._common import add_mount, add_state_dir, need_root
from procfs_fuse.control_socket import ask
from procfs_fuse.instances import Instance, Registry

EXAMPLES: Final = """\
examples:
  procfs-fuse restart                   after an upgrade: the new version serves the same mounts
  procfs-fuse restart --mount /mnt/procfs

Containers notice nothing. The version that serves afterwards is the one of this command; when it fails its self-test,
the old one goes on.
"""
_TEST_SECONDS: Final = 60.0
_SERVING_SECONDS: Final = 60.0
_PAUSE_SECONDS: Final = 0.02


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--all", action="store_true", help="every instance, one after the other")
    add_mount(parser)
    add_state_dir(parser)


def run(arguments: argparse.Namespace) -> int:
    """Have this version of the program take over."""
    need_root("restart the server")
    registry = Registry(arguments.state_dir)
    for instance in registry.alive() if arguments.all else [registry.select(arguments.mount)]:
        restart(instance)
    return 0


def restart(instance: Instance, words: Sequence[str] | None = None) -> None:
    """Have this version serve an instance, with other ``words`` of `mount` if there are any. Raises Failure."""
    before = ask(instance.control, "status")
    _test(instance, before["keeper_pid"])
    path = background.environment().get("PYTHONPATH")
    ask(instance.control, "restart", program=background.program(), pythonpath=path, words=words)
    _await(instance, before)


def _test(instance: Instance, keeper: int) -> None:
    """Have a process of this version render every file, without any mount; raises Failure when it cannot."""
    command = [sys.executable, "-P", "-m", "procfs_fuse.keeper.self_test", instance.directory, str(keeper)]
    try:
        done = subprocess.run(
            command,
            env=background.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TEST_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Failure("the new version did not finish its self-test: the old one goes on") from error
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise Failure(f"the new version fails its self-test: {reason}", "the old one goes on")


def _await(instance: Instance, before: dict[str, Any]) -> None:
    """Wait until a worker of the new version serves."""
    deadline = time.monotonic() + _SERVING_SECONDS
    while time.monotonic() < deadline:
        if not instance.alive:
            break
        now = _status(instance)
        if now.get("generation", 0) > before.get("generation", 0) and now["served"] and not now["retiring"]:
            return
        time.sleep(_PAUSE_SECONDS)
    log = os.path.join(instance.directory, "log")
    raise Failure(f"the new version of the server of {instance.mountpoint} does not serve", f"see {log}")


def _status(instance: Instance) -> dict[str, Any]:
    """What the keeper says; nothing while it changes."""
    try:
        return dict(ask(instance.control, "status"))
    except Failure:
        return {}
