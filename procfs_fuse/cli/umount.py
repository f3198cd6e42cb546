"""``procfs-fuse umount``."""

from __future__ import annotations

import argparse
import os
import subprocess
import time
from typing import Final

from cgscope.arguments import value
from cgscope.errors import Failure
from cgscope.quantities import format_duration, parse_duration
from procfs_fuse import mountpoint
from procfs_fuse.cli._common import add_state_dir, need_root
from procfs_fuse.control_socket import ask
from procfs_fuse.instances import Instance, Registry, canonical, forget, remove
from procfs_fuse.transport import mounting

EXAMPLES: Final = """\
examples:
  procfs-fuse umount                             the only instance that is mounted
  procfs-fuse umount --timeout 0 /mnt/procfs     at once, also when containers still use its files

A mount that is in use is detached first and served on until its last user is gone or the time is over.
"""
_GRACE_SECONDS: Final = 5.0  # for the server's own end, after its time is over
_PAUSE_SECONDS: Final = 0.02


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("directory", metavar="DIR", nargs="?", help="mount point (default: the only one)")
    parser.add_argument("--all", action="store_true", help="every instance, one after the other")
    parser.add_argument(
        "--unless-restarting",
        metavar="UNIT",
        help="for ExecStop=: if systemd restarts UNIT, leave the mounts to what it starts next",
    )
    parser.add_argument(
        "--timeout",
        metavar="TIME",
        type=value(parse_duration),
        default=5.0,
        help="go on serving users so long (default: 5s)",
    )
    add_state_dir(parser)


def run(arguments: argparse.Namespace) -> int:
    """Stop one instance."""
    need_root("unmount")
    registry = Registry(arguments.state_dir)
    if arguments.all:
        for instance in registry.recorded():
            _end(instance, arguments.timeout)
        return 0
    chosen = _choose(registry, arguments.directory)
    if chosen is None:
        _clear_unrecorded(arguments.directory)
    elif arguments.unless_restarting is not None and chosen.alive and is_restarting(arguments.unless_restarting):
        ask(chosen.control, "leave")
        _await_end(chosen, arguments.timeout)
    else:
        _end(chosen, arguments.timeout)
    return 0


def is_restarting(unit: str) -> bool:
    """Whether systemd stops this unit only to start it again: then its job says so (systemctl(1), list-jobs)."""
    try:
        words = ["systemctl", "list-jobs", "--no-legend", "--plain", unit]
        jobs = subprocess.run(words, capture_output=True, text=True, timeout=_GRACE_SECONDS, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return False
    return any(unit in line.split() and "restart" in line for line in jobs.splitlines())


def _end(instance: Instance, timeout_seconds: float) -> None:
    if instance.alive:
        _stop(instance, timeout_seconds)
    else:
        clear(instance)


def clear(instance: Instance) -> None:
    """Remove the mounts and the record of an instance whose server died."""
    mountpoint.clear(instance.directory, instance.mountpoint)
    forget(instance.directory)
    remove(instance.directory)


def _choose(registry: Registry, directory: str | None) -> Instance | None:
    if directory is not None:
        return registry.find(directory)
    dead = [instance for instance in registry.recorded() if not instance.alive]
    return dead[0] if len(dead) == 1 and not registry.alive() else registry.select(None)


def _clear_unrecorded(directory: str) -> None:
    """A mount of ours whose state is lost, or belongs to another state directory."""
    found = mounting.mount_at(directory)
    if found is None:
        raise Failure(f"nothing is mounted at {directory}", "see: procfs-fuse status")
    if not found.is_ours:
        raise Failure(f"{directory} is a mount of {found.fstype}, not of procfs-fuse", "leave it to whoever mounted it")
    connections = mounting.live_connections()
    if connections is None or found.connection in connections:
        raise Failure(
            f"{directory} is served by a procfs-fuse with another state directory", "name it with --state-dir"
        )
    mountpoint.detach(canonical(directory))


def _stop(instance: Instance, timeout_seconds: float) -> None:
    busy = ask(instance.control, "unmount", patience_seconds=timeout_seconds)["busy"]
    _await_end(instance, timeout_seconds)
    if busy:
        print(f"{', '.join(busy)} was in use and served for up to {format_duration(timeout_seconds)} more")


def _await_end(instance: Instance, timeout_seconds: float) -> None:
    deadline = time.monotonic() + timeout_seconds + _GRACE_SECONDS
    while instance.alive:
        if time.monotonic() > deadline:
            raise Failure(
                f"{instance.mountpoint} is unmounted, but process {instance.pid} does not end",
                f"see {os.path.join(instance.directory, 'log')}",
            )
        time.sleep(_PAUSE_SECONDS)
