"""``procfs-fuse status``."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Final

from cgscope.errors import FAILED, Failure, printable
from cgscope.quantities import format_duration
from cgscope.state import AGENT
from cgscope.terminal import columns, paint, wants_colour
from procfs_fuse.cli._common import add_mount, add_state_dir, need_root
from procfs_fuse.control_socket import ask
from procfs_fuse.instances import Instance, Registry, known

EXAMPLES: Final = """\
examples:
  procfs-fuse status
  procfs-fuse status --json | jq '.instances[].fallbacks'

Fallbacks are answers that could not be computed: the container's last good value, or the host's, was shown instead.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--json", action="store_true", help='print everything as one JSON object: {"instances": […]}')
    parser.add_argument(
        "--healthy", action="store_true", help="print nothing; exit 1 unless all that is mounted is served"
    )
    add_mount(parser)
    add_state_dir(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the state of all instances, or of one."""
    need_root("ask the server")
    registry = Registry(arguments.state_dir)
    instances = registry.recorded()
    if arguments.mount is not None:
        wanted = registry.find(arguments.mount)
        if wanted is None:
            raise Failure(f"nothing of ours is mounted at {arguments.mount}", known(registry.alive()))
        instances = [wanted]
    reports = [report(instance) for instance in instances]
    if arguments.healthy:
        return 0 if reports and all(one["state"] == "serving" for one in reports) else FAILED
    if arguments.json:
        print(json.dumps({"instances": reports, "seccomp_agent": agent_status(registry)}, indent=2))
    else:
        sys.stdout.write(text(reports, colour=wants_colour(sys.stdout)))
        sys.stdout.write(agent_text(agent_status(registry)))
    return 0


def report(instance: Instance) -> dict[str, Any]:
    """All that is known about an instance; ``state`` is serving, dead or silent."""
    basics: dict[str, Any] = {
        "mountpoint": instance.mountpoint,
        "state_dir": instance.directory,
        "pid": instance.pid,
        "automatic": instance.automatic,
    }
    if not instance.alive:
        return {**basics, "state": "dead"}
    try:
        basics |= ask(instance.control, "status")
        basics["attach"] = attached(instance.directory)
        return {**basics, "state": "serving", **ask(instance.service, "status")}
    except Failure as failure:
        return {**basics, "state": "silent", "problem": str(failure)}


def agent_status(registry: Registry) -> dict[str, Any] | None:
    """What the agent for system calls tells; None where there is none."""
    path = os.path.join(registry.base, AGENT)
    try:
        status: dict[str, Any] = ask(path, "status")
    except Failure:
        return None
    return status


def agent_text(agent: Mapping[str, Any] | None) -> str:
    """The same for people."""
    if agent is None:
        return ""
    answers = f"{agent['answered']} answered, {agent['continued']} left to the kernel"
    rows = [
        ("  process", str(agent["pid"]) + (" (automatic)" if agent["automatic"] else "")),
        ("  containers", str(agent["listeners"])),
        ("  calls", answers),
    ]
    return "sysinfo(2) agent\n" + columns(rows)


def attached(directory: str) -> Mapping[str, Any] | None:
    """What the process that attaches containers by itself has done; None where there is none."""
    from procfs_fuse.attach.report import read  # noqa: PLC0415 - the other commands that import this do not need it

    return read(directory)


def text(reports: list[dict[str, Any]], *, colour: bool) -> str:
    """The same for people."""
    if not reports:
        return "No procfs-fuse is mounted. Start one with: procfs-fuse mount\n"
    return "\n".join("".join(_paragraph(one, colour=colour)) for one in reports)


def _paragraph(one: Mapping[str, Any], *, colour: bool) -> Iterator[str]:
    style = {"serving": "green", "dead": "red"}.get(one["state"], "yellow")
    yield f"{printable(one['mountpoint'])}  {paint(one['state'], style, colour=colour)}\n"
    yield columns([("  process", str(one["pid"]) + (" (automatic)" if one["automatic"] else "")), *_rows(one)])
    if one["state"] == "dead":
        yield f"  Clean up with: procfs-fuse umount {printable(one['mountpoint'])}\n"
    if one.get("repaired"):
        yield f"  repaired after a crash: {len(one['repaired'])} containers\n"
    for title, rows in (("fallbacks", one.get("fallbacks")), ("unreadable", one.get("unreadable"))):
        if rows:
            yield f"  {title}\n"
            yield columns(
                [(f"    {row.get('file', row.get('part'))}", str(row["count"]), row["reason"]) for row in rows]
            )


def _rows(one: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if "problem" in one:
        yield "  problem", printable(one["problem"])
    if one["state"] != "serving":
        return
    yield "  workers", " ".join(map(str, one["worker_pids"])) + f" (replaced {one['restarts']} times)"
    if one.get("without"):
        yield "  transport", f"{one['transport']}, without {', '.join(one['without'])}"
    yield "  up", format_duration(one["uptime_seconds"])
    yield "  cgroups", one["world"]
    if one.get("passthrough"):
        yield "  passthrough", "on: containers see the machine's values"
    yield "  containers", str(one["containers"])
    if one.get("attach"):
        rows = one["attach"]["containers"]
        yield "  attached", str(sum(row["problem"] is None for row in rows))
        for row in rows:
            if row["problem"] is not None:
                yield "  not attached", printable(f"{row['title']}: {row['problem']}")
    yield "  requests", ", ".join(f"{count} {name}" for name, count in one["requests"].items())
    yield "  errors", ", ".join(f"{count} {name}" for name, count in one["errors"].items()) or "none"
