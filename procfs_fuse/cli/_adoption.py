"""`mount` where it is mounted already: the server there goes on, with what is asked for now if it can change that."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Final

from cgroup_model.snapshot import Policy
from cgscope.arguments import Parser
from cgscope.errors import Failure
from procfs_fuse import background
from procfs_fuse.cli.restart import restart
from procfs_fuse.control_socket import ask
from procfs_fuse.instances import Instance

_CHANGEABLE: Final = frozenset({"ttl", "request_timeout", *(one.name for one in fields(Policy))})
"""Of the options those with which files that containers have stay what they are."""


def adopt(instance: Instance, parser: Parser, words: Sequence[str]) -> None:
    """Have a server that runs do what these ``words`` of `mount` say. Raises Failure when it cannot."""
    status = ask(instance.control, "status")
    served = f"{instance.mountpoint} is served already by process {instance.pid}"
    if status["stopping"]:
        raise Failure(f"{served}, which is unmounting it", "mount again when its last user is gone")
    now, wanted = vars(parser.parse_args(status["words"])), vars(parser.parse_args(list(words)))
    changes = {name for name in wanted if wanted[name] != now[name]}
    if not changes:
        background.probe(instance)
        print(served)
        return
    fixed = changes - _CHANGEABLE if instance.transport == "kernel" else changes
    if fixed:
        raise Failure(f"{served}, which cannot change {_options(fixed)}", "procfs-fuse umount --keep, then mount again")
    restart(instance, words)
    print(f"{served}, which goes on with the new {_options(changes)}")


def _options(names: Iterable[str]) -> str:
    return ", ".join(f"--{name.replace('_', '-')}" for name in sorted(names))
