"""The part of a seccomp profile that sends our calls to the agent, alone or merged into a profile.

Source: config-linux.md of the OCI runtime specification, "Seccomp"; engines (Docker, Podman, containers-common) have
the same format, but for ``archMap`` in place of ``architectures``. LXC has its own: lxc.container.conf(5).
"""

from __future__ import annotations

import copy
from collections.abc import Collection
from typing import Any, Final

from procfs_fuse.seccomp.abi import Abi

NOTIFY: Final = "SCMP_ACT_NOTIFY"


class NotAProfile(ValueError):
    """What is to be merged into is no seccomp profile; the message says why."""


def profile(calls: Collection[str], interfaces: Collection[Abi], socket_path: str, metadata: str) -> dict[str, Any]:
    """A profile that allows everything else."""
    return {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": [interface.oci_name for interface in interfaces],
        **_listener(socket_path, metadata),
        "syscalls": [_rule(calls)],
    }


def merged(base: object, calls: Collection[str], socket_path: str, metadata: str) -> dict[str, Any]:
    """``base`` with our calls taken out of its rules and put into one of their own. Raises `NotAProfile`."""
    if not isinstance(base, dict) or not isinstance(base.get("defaultAction"), str):
        raise NotAProfile("it has no defaultAction")
    rules = base.get("syscalls") or []
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        raise NotAProfile("its syscalls are no list of rules")
    if any(rule.get("action") == NOTIFY for rule in rules) and base.get("listenerPath") != socket_path:
        raise NotAProfile("it sends calls to another agent already, and the kernel allows only one")
    kept = [rule for rule in (_without(rule, calls) for rule in rules) if rule is not None]
    return {**copy.deepcopy(base), **_listener(socket_path, metadata), "syscalls": [*kept, _rule(calls)]}


def lxc_policy(calls: Collection[str]) -> str:
    """A policy for LXC that allows everything else."""
    return lxc_merged("2\ndenylist\n", calls)


def lxc_merged(base: str, calls: Collection[str]) -> str:
    """A policy of LXC with our calls taken out of its rules and put at its end. Raises `NotAProfile`."""
    lines = base.splitlines()
    if not lines or lines[0].strip() != "2" or len(lines[1:]) == 0 or not lines[1].strip():
        raise NotAProfile("it is not of version 2, which alone has actions")
    kept = [line for line in lines if line.split("#")[0].split()[:1] not in [[call] for call in calls]]
    return "\n".join([*kept, "[all]", *(f"{call} notify" for call in calls)]) + "\n"


def _listener(socket_path: str, metadata: str) -> dict[str, str]:
    return {"listenerPath": socket_path, **({"listenerMetadata": metadata} if metadata else {})}


def _rule(calls: Collection[str]) -> dict[str, Any]:
    return {"names": list(calls), "action": NOTIFY}


def _without(rule: dict[str, Any], calls: Collection[str]) -> dict[str, Any] | None:
    """A rule without these calls; None if it was about nothing else."""
    names = rule.get("names")
    if names is None and "name" in rule:  # Docker's old format
        return None if rule["name"] in calls else rule
    if not isinstance(names, list):
        raise NotAProfile("a rule of it has no names")
    left = [name for name in names if name not in calls]
    return {**rule, "names": left} if left else None
