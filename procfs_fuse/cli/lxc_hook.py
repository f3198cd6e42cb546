"""``procfs-fuse lxc-hook``: called by LXC."""

from __future__ import annotations

import argparse
import os
from typing import Final

from cgscope.errors import Failure
from procfs_fuse.cli.oci_hook import add_hook_options, tolerant

EXAMPLES: Final = """\
In a container's configuration; `procfs-fuse install --engine lxc` sets it up for all:
  lxc.hook.mount = /usr/bin/procfs-fuse lxc-hook

A container is started with the machine's files when ours cannot be bound, unless --strict is given.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_hook_options(parser)
    # Version 0 of LXC's hooks appends "NAME lxc mount" to the command; all of it is in the environment, too.
    parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)


def run(arguments: argparse.Namespace) -> int:
    """Bind the files into the container that LXC's environment describes (lxc.container.conf(5), hooks)."""
    return tolerant(lambda: _bind(arguments), "lxc-hook", strict=arguments.strict)


def _bind(arguments: argparse.Namespace) -> None:
    from procfs_fuse.integrations import hooks  # noqa: PLC0415 - nothing of it may keep a container from starting

    root = os.environ.get("LXC_ROOTFS_MOUNT")
    if not root:
        raise Failure("LXC_ROOTFS_MOUNT is not set", "LXC calls this as lxc.hook.mount; see docs/engines.md")
    setup = hooks.Setup(os.path.realpath(root), [os.environ.get("LXC_NAME", "")], hides_proc=False)
    hooks.bind(setup, arguments.mount, arguments.state_dir)
