"""``procfs-fuse seccomp-profile``."""

from __future__ import annotations

import argparse
import json
import os
from typing import Any, Final

from cgscope.errors import Failure, explain
from procfs_fuse.cli._common import add_state_dir
from procfs_fuse.instances import Registry
from procfs_fuse.seccomp.abi import SCHED_GETAFFINITY, SYSINFO, abis
from procfs_fuse.seccomp.handover import SOCKET_NAME
from procfs_fuse.seccomp.profile import NotAProfile, merged, profile
from procfs_fuse.seccomp.words import metadata

EXAMPLES: Final = """\
examples:
  procfs-fuse seccomp-profile > notify.json
  procfs-fuse seccomp-profile --merge /usr/share/containers/seccomp.json > /etc/containers/seccomp-notify.json
  podman run --security-opt seccomp=notify.json -m 256m alpine free

The agent, procfs-fuse seccomp-agent, must run: a container whose profile names its socket does not start without it.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--merge", metavar="FILE", help="add to this profile (default: one that allows everything)")
    parser.add_argument("--affinity", action="store_true", help="also sched_getaffinity(2): see docs/seccomp.md first")
    parser.add_argument("--socket", metavar="FILE", help="of the agent (default: seccomp.sock in the state directory)")
    add_state_dir(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the profile."""
    calls = [SYSINFO, SCHED_GETAFFINITY] if arguments.affinity else [SYSINFO]
    path = os.path.abspath(arguments.socket or os.path.join(Registry(arguments.state_dir).base, SOCKET_NAME))
    words = metadata(affinity=arguments.affinity)
    if arguments.merge is None:
        print(json.dumps(profile(calls, abis(), path, words), indent=2))
        return 0
    try:
        print(json.dumps(merged(_read(arguments.merge), calls, path, words), indent=2))
    except NotAProfile as error:
        raise Failure(f"{arguments.merge} cannot be extended: {error}") from error
    return 0


def _read(path: str) -> Any:  # noqa: ANN401 - JSON
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except OSError as error:
        raise Failure(explain(error)) from error
    except ValueError as error:
        raise Failure(f"{path} is not JSON: {error}") from error
