"""Options and checks that several commands share."""

from __future__ import annotations

import argparse
import os
from dataclasses import fields

from cgroup_model.snapshot import Policy
from cgscope.errors import Failure
from procfs_fuse.instances import DEFAULT_STATE_DIR, STATE_DIR_VARIABLE


def add_state_dir(parser: argparse.ArgumentParser) -> None:
    """Add ``--state-dir``."""
    text = f"where the state of mounted instances is (default: ${STATE_DIR_VARIABLE} or {DEFAULT_STATE_DIR})"
    parser.add_argument("--state-dir", metavar="DIR", help=text)


def add_mount(parser: argparse.ArgumentParser) -> None:
    """Add ``--mount``, which chooses an instance."""
    parser.add_argument("--mount", metavar="DIR", help="the instance at this mount point, when several are mounted")


def add_policy(parser: argparse.ArgumentParser) -> None:
    """Add the options that decide what the files show."""
    parser.add_argument(
        "--cpu-view",
        choices=["quota", "cpuset"],
        default="quota",
        help="CPUs shown: cut to the quota (default), or not",
    )
    parser.add_argument(
        "--available",
        choices=["kernel", "working-set"],
        default="kernel",
        help="MemAvailable: with all file cache that the kernel could drop (default), or without active file cache",
    )
    parser.add_argument(
        "--pid-max",
        choices=["pids", "host"],
        default="pids",
        help="pid_max: the limit of tasks (default), or the machine's",
    )
    parser.add_argument(
        "--throttled-as-steal", action="store_true", help="show time waiting for quota as steal time in /proc/stat"
    )
    parser.add_argument("--disable-swap", action="store_true", help="show no swap at all")
    parser.add_argument("--disable-zswap", action="store_true", help="show no compressed swap")


def policy_of(arguments: argparse.Namespace) -> Policy:
    """The policy that the options of `add_policy` chose."""
    return Policy(
        cpu_view=arguments.cpu_view,
        available=arguments.available,
        pid_max=arguments.pid_max,
        throttled_as_steal=arguments.throttled_as_steal,
        disable_swap=arguments.disable_swap,
        disable_zswap=arguments.disable_zswap,
    )


def policy_words(policy: Policy) -> list[str]:
    """The options that choose a policy: inverse of `policy_of`."""
    words = []
    for one in fields(policy):
        option, chosen = f"--{one.name.replace('_', '-')}", getattr(policy, one.name)
        words += ([option] if chosen else []) if isinstance(chosen, bool) else [option, chosen]
    return words


def need_root(what: str) -> None:
    """Raise Failure unless we are root."""
    if os.geteuid() != 0:
        raise Failure(f"only root can {what}", "try again with sudo")
