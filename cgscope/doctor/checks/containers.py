"""Containers, and the virtual files in them."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Iterator
from typing import Any

from cgroup_model.engines import match
from cgroup_model.mounts import OutOfSight
from cgscope.doctor.finding import Finding, note, ok, problem, unknown
from cgscope.doctor.machine import Machine

TITLE = "containers"


def check(machine: Machine) -> Iterator[Finding]:
    """Look at what runs and at what is mounted."""
    try:
        found = machine.tree.containers()
    except OutOfSight as error:
        yield unknown("engines", str(error))
    else:
        engines = Counter(known.engine for cgroup in found.values() if (known := match(cgroup.path)))
        said = ", ".join(f"{count} {engine}" for engine, count in sorted(engines.items()))
        yield ok("running", said or "none")
    yield from _instances(machine)


def _instances(machine: Machine) -> Iterator[Finding]:
    subject = "virtual /proc"
    if not machine.is_root:
        yield unknown(subject, "only root may ask", "try again with sudo")
        return
    try:
        instances: list[dict[str, Any]] = json.loads(machine.run("procfs_fuse", "status", "--json"))["instances"]
    except (OSError, ValueError, KeyError, subprocess.SubprocessError) as error:
        yield problem(subject, f"procfs-fuse status failed: {error}", "try it by hand")
        return
    if not instances:
        yield note(subject, "is not mounted", "procfs-fuse mount starts it")
    for instance in instances:
        yield _instance(instance)


def _instance(instance: dict[str, Any]) -> Finding:
    where = str(instance["mountpoint"])
    if instance["state"] == "serving":
        return ok("virtual /proc", f"{where} serves {instance.get('containers', '?')} containers")
    if instance["state"] == "dead":
        return problem("virtual /proc", f"{where} has no server", f"procfs-fuse mount {where} repairs it")
    return problem("virtual /proc", f"{where} does not answer", f"procfs-fuse restart --mount {where}")
