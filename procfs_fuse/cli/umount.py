"""``procfs-fuse umount``."""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import time
from typing import Final

from cgroup_model.mounts import OutOfSight
from cgroup_model.source import CgroupGone
from cgscope.arguments import value
from cgscope.errors import Failure, printable
from cgscope.quantities import format_duration, parse_duration
from procfs_fuse import mountpoint
from procfs_fuse.attach import withdraw
from procfs_fuse.attach.attachment import lock
from procfs_fuse.cli._common import add_state_dir, need_root
from procfs_fuse.control_socket import ask
from procfs_fuse.instances import Instance, Registry, canonical, forget, remove
from procfs_fuse.integrations import auto_attach
from procfs_fuse.transport import mounting

EXAMPLES: Final = """\
examples:
  procfs-fuse umount                             the only instance that is mounted
  procfs-fuse umount --timeout 0 /mnt/procfs     at once, also when somebody still reads its files
  procfs-fuse umount --keep                      containers keep the files for the next mount, dead until then

Containers get the machine's files back. Whoever still has a file open is served until it is closed or the time is over.
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
    parser.add_argument(
        "--keep", action="store_true", help="leave the files in containers: the next mount brings them to life again"
    )
    add_state_dir(parser)


def run(arguments: argparse.Namespace) -> int:
    """Stop one instance; the exit code is 1 when its files are left in a container, where they are dead."""
    need_root("unmount")
    registry = Registry(arguments.state_dir)
    if arguments.all:
        ends = [_end(instance, arguments) for instance in registry.recorded()]  # of all, whatever one says
        return int(not all(ends))
    chosen = _choose(registry, arguments.directory)
    if chosen is None:
        return int(not _clear_unrecorded(registry, arguments))
    if arguments.unless_restarting is not None and chosen.alive and is_restarting(arguments.unless_restarting):
        ask(chosen.control, "leave")
        _await_end(chosen, arguments.timeout)
        return 0
    return int(not _end(chosen, arguments))


def is_restarting(unit: str) -> bool:
    """Whether systemd stops this unit only to start it again: then its job says so (systemctl(1), list-jobs)."""
    try:
        words = ["systemctl", "list-jobs", "--no-legend", "--plain", unit]
        jobs = subprocess.run(words, capture_output=True, text=True, timeout=_GRACE_SECONDS, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return False
    return any(unit in line.split() and "restart" in line for line in jobs.splitlines())


def _end(instance: Instance, arguments: argparse.Namespace) -> bool:
    """Unmount; whether nothing is left in containers that was not to be left."""
    with lock(instance):  # nobody attaches meanwhile
        is_clean = arguments.keep or _withdraw(instance)
        if not instance.alive:
            _clear(instance)
            auto_attach.dismiss(instance)
            return is_clean
        busy = ask(instance.control, "unmount", patience_seconds=arguments.timeout)["busy"]
    _await_end(instance, arguments.timeout)
    auto_attach.dismiss(instance)
    if busy:
        print(f"{', '.join(busy)} was in use and served for up to {format_duration(arguments.timeout)} more")
    return is_clean


def _clear(instance: Instance) -> None:
    """Remove the mounts and the record of an instance whose server died."""
    mountpoint.clear(instance.directory, instance.mountpoint)
    forget(instance.directory)
    remove(instance.directory)


def _withdraw(instance: Instance) -> bool:
    """Take its files out of all containers, and say in one line of how many, and of which not; whether of all."""
    outcomes = withdraw(instance)
    done = sum(one.ok for one in outcomes.values())
    failed = {pid: one.problem for pid, one in outcomes.items() if one.problem is not None}
    text = f"{done} container{'s' if done != 1 else ''} detached"
    if failed:
        problems = "; ".join(f"{_title(pid)}: {problem}" for pid, problem in failed.items())
        print(printable(f"procfs-fuse umount: {text}, but not {problems}"), file=sys.stderr)
    elif done:
        print(text)
    return not failed


def _title(pid: int) -> str:
    """What people call the container of a process."""
    from procfs_fuse.attach.containers import Machine  # noqa: PLC0415 - seldom needed

    container = None
    with Machine() as machine, contextlib.suppress(CgroupGone, OutOfSight, ProcessLookupError):
        container = machine.of_process(pid)
    return f"process {pid}" if container is None else f"{container.title} (process {pid})"


def _choose(registry: Registry, directory: str | None) -> Instance | None:
    if directory is not None:
        return registry.find(directory)
    dead = [instance for instance in registry.recorded() if not instance.alive]
    return dead[0] if len(dead) == 1 and not registry.alive() else registry.select(None)


def _clear_unrecorded(registry: Registry, arguments: argparse.Namespace) -> bool:
    """Unmount what is ours but has lost its state, or belongs to another state directory; as `_end`."""
    directory = arguments.directory
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
    place = canonical(directory)
    is_clean = arguments.keep or _withdraw(Instance(registry.directory_for(place), place, 0, 0.0))
    mountpoint.detach(place)
    return is_clean


def _await_end(instance: Instance, timeout_seconds: float) -> None:
    deadline = time.monotonic() + timeout_seconds + _GRACE_SECONDS
    while instance.alive:
        if time.monotonic() > deadline:
            raise Failure(
                f"{instance.mountpoint} is unmounted, but process {instance.pid} does not end",
                f"see {os.path.join(instance.directory, 'log')}",
            )
        time.sleep(_PAUSE_SECONDS)
