"""``procfs-fuse seccomp-agent``."""

from __future__ import annotations

import argparse
import logging
import os
from typing import Final

from cgscope.arguments import value
from cgscope.quantities import parse_duration
from procfs_fuse.cli._common import add_mount, add_state_dir, need_root
from procfs_fuse.instances import Registry, private_directory
from procfs_fuse.seccomp import agent
from procfs_fuse.seccomp.handover import SOCKET_NAME
from procfs_fuse.seccomp.holder import Limits

EXAMPLES: Final = """\
examples:
  procfs-fuse seccomp-agent                                 in the foreground, as a service manager wants it
  procfs-fuse seccomp-profile > notify.json && podman run --security-opt seccomp=notify.json -m 256m alpine free

Answers sysinfo(2) of containers whose seccomp profile names its socket. Without it such containers do not start.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--socket", metavar="FILE", help="listen here (default: seccomp.sock in the state directory)")
    parser.add_argument(
        "--affinity", action="store_true", help="cut CPU affinity masks for all containers whose profile tells of them"
    )
    defaults = Limits()
    parser.add_argument(
        "--patience",
        metavar="TIME",
        type=value(parse_duration),
        default=defaults.patience_seconds,
        help="let the kernel answer when there has been no worker so long (default: 100ms)",
    )
    parser.add_argument(
        "--watchdog",
        metavar="TIME",
        type=value(parse_duration),
        default=defaults.watchdog_seconds,
        help="replace a worker that takes so long over one answer (default: 5s)",
    )
    add_mount(parser)
    add_state_dir(parser)
    parser.add_argument("--listen-fd", type=int, default=None, help=argparse.SUPPRESS)


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGTERM or Ctrl-C."""
    need_root("answer system calls of containers")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    registry = Registry(arguments.state_dir)
    if arguments.socket is None:
        private_directory(registry.base)
    settings = agent.Settings(
        socket_path=os.path.abspath(arguments.socket or os.path.join(registry.base, SOCKET_NAME)),
        registry=registry,
        mountpoint=arguments.mount,
        affinity=arguments.affinity,
        limits=Limits(patience_seconds=arguments.patience, watchdog_seconds=arguments.watchdog),
        listening=arguments.listen_fd,
    )
    agent.serve(settings)
    return 0
