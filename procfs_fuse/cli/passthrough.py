"""``procfs-fuse passthrough``."""

from __future__ import annotations

import argparse
from typing import Final

from procfs_fuse.cli._common import add_mount, add_state_dir, need_root
from procfs_fuse.control_socket import ask
from procfs_fuse.instances import Registry

EXAMPLES: Final = """\
examples:
  procfs-fuse passthrough on      every container sees the machine's values, without any mount being touched
  procfs-fuse passthrough off

A file that is open keeps its kind of answer until it is closed. SIGUSR2 to the server switches, too.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("switch", choices=["on", "off"], help="on: show the machine's values; off: the container's")
    add_mount(parser)
    add_state_dir(parser)


def run(arguments: argparse.Namespace) -> int:
    """Tell the server."""
    need_root("change what the files show")
    instance = Registry(arguments.state_dir).select(arguments.mount)
    ask(instance.service, "passthrough", on=arguments.switch == "on")
    return 0
