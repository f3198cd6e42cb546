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
from procfs_fuse.seccomp.handover import SOCKET_NAME, lxc_path
from procfs_fuse.seccomp.profile import NotAProfile, lxc_merged, lxc_policy, merged, profile
from procfs_fuse.seccomp.words import metadata

EXAMPLES: Final = """\
examples:
  procfs-fuse seccomp-profile > notify.json
  procfs-fuse seccomp-profile --merge /usr/share/containers/seccomp.json > /etc/containers/seccomp-notify.json
  podman run --security-opt seccomp=notify.json -m 256m alpine free
  procfs-fuse seccomp-profile --lxc --merge /usr/share/lxc/config/common.seccomp > /etc/lxc/notify.seccomp

The agent, procfs-fuse seccomp-agent, must run: a container whose profile names its socket does not start without it.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--merge", metavar="FILE", help="add to this profile (default: one that allows everything)")
    parser.add_argument("--lxc", action="store_true", help="in the format of LXC's lxc.seccomp.profile")
    parser.add_argument("--affinity", action="store_true", help="also sched_getaffinity(2): see docs/seccomp.md first")
    parser.add_argument("--socket", metavar="FILE", help="of the agent (default: seccomp.sock in the state directory)")
    add_state_dir(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the profile."""
    calls = [SYSINFO, SCHED_GETAFFINITY] if arguments.affinity else [SYSINFO]
    path = os.path.abspath(arguments.socket or os.path.join(Registry(arguments.state_dir).base, SOCKET_NAME))
    try:
        text = _for_lxc(arguments.merge, calls) if arguments.lxc else _for_oci(arguments, calls, path)
    except NotAProfile as error:
        raise Failure(f"{arguments.merge} cannot be extended: {error}") from error
    print(text.rstrip("\n"))
    if arguments.lxc:
        print(f"# lxc.seccomp.notify.proxy = unix:{lxc_path(path)}")
    return 0


def _for_lxc(base: str | None, calls: list[str]) -> str:
    return lxc_policy(calls) if base is None else lxc_merged(_read(base), calls)


def _for_oci(arguments: argparse.Namespace, calls: list[str], path: str) -> str:
    words = metadata(affinity=arguments.affinity)
    if arguments.merge is None:
        found = profile(calls, abis(), path, words)
    else:
        found = merged(_parsed(arguments.merge), calls, path, words)
    return json.dumps(found, indent=2)


def _parsed(path: str) -> Any:  # noqa: ANN401 - JSON
    try:
        return json.loads(_read(path))
    except ValueError as error:
        raise Failure(f"{path} is not JSON: {error}") from error


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError as error:
        raise Failure(explain(error)) from error
    except UnicodeDecodeError as error:
        raise Failure(f"{path} is not text: {error}") from error
