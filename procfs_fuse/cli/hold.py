"""``procfs-fuse hold``."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import sys
from collections.abc import Sequence
from typing import Final

from cgscope.arguments import Parser
from cgscope.errors import UsageError
from procfs_fuse.cli._common import add_mount, add_state_dir, need_root

EXAMPLES: Final = """\
example, the command of a DaemonSet's pod (deploy/kubernetes):
  procfs-fuse hold --mount /var/lib/procfs-fuse/mount -- --attach all

What follows -- are options of `procfs-fuse mount`. The next holder on this machine takes the mounts over from this one,
without any being lost; where there is a service manager like systemd, that does it better.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--socket", metavar="FILE", help="where holders meet (default: handover.sock in the instance's state folder)"
    )
    add_mount(parser)
    add_state_dir(parser)
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="-- OPTION", help="of procfs-fuse mount")


def expand(parser: Parser, words: Sequence[str]) -> list[str]:  # noqa: ARG001 - the protocol of commands
    """Take the other command's words out of argparse's sight."""
    position = words.index("--") if "--" in words else len(words)
    return [*words[:position], "--", *words[position + 1 :]]


def run(arguments: argparse.Namespace) -> int:
    """Hold until told to stop."""
    from procfs_fuse.control_socket import ask  # noqa: PLC0415 - only where it is used
    from procfs_fuse.instances import (  # noqa: PLC0415
        DEFAULT_MOUNTPOINT,
        HANDOVER,
        Instance,
        Registry,
        canonical,
        private_directory,
    )
    from procfs_fuse.integrations import auto_attach  # noqa: PLC0415
    from procfs_fuse.integrations.handover import Holder  # noqa: PLC0415

    need_root("mount")
    words = arguments.words[1:] if arguments.words[:1] == ["--"] else arguments.words
    if any(word in {"--foreground", "--ready-fd"} for word in words):
        raise UsageError("a holder's program runs in the foreground anyway")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(process)d holder %(levelname)s %(message)s")
    registry = Registry(arguments.state_dir)
    base = private_directory(registry.base)
    place = canonical(arguments.mount or DEFAULT_MOUNTPOINT)
    with contextlib.suppress(FileExistsError):  # what a dead server left is no folder, but there
        os.makedirs(place)
    instance = Instance(registry.directory_for(place), place, 0, 0.0)
    program = [sys.executable, "-P", "-m", "procfs_fuse"]
    command = [*program, "mount", "--foreground", "--state-dir", base, *words, "--", place]
    unmount = [*program, "umount", "--state-dir", base, "--", place]
    # A holder of another mount point does not take over, but starts beside this one.
    shared = arguments.socket or os.path.join(private_directory(instance.directory), HANDOVER)

    def leave() -> None:
        auto_attach.dismiss(instance)  # it is in this pod, which is ended soon, and lets no other watch meanwhile
        ask(instance.control, "leave")

    return Holder(command, unmount, shared, leave).run()
