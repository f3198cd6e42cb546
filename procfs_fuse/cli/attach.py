"""``procfs-fuse attach``."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from cgscope.arguments import value
from cgscope.errors import FAILED, UsageError, printable
from procfs_fuse import rights, syscalls
from procfs_fuse.attach.rules import Rule, Rules, engines
from procfs_fuse.cli._common import add_mount, add_state_dir, need_root
from procfs_fuse.instances import Instance, Registry
from procfs_fuse.priority import hurry

if TYPE_CHECKING:
    from procfs_fuse.attach import Outcome
    from procfs_fuse.attach.containers import Container, Machine

EXAMPLES: Final = """\
examples:
  procfs-fuse attach web                   a running container, by name or id; nothing is restarted
  procfs-fuse attach pid:4711              any process with mounts of its own
  procfs-fuse attach --all                 every container that runs now

What is there already stays, what is dead is replaced; a container that cannot be attached is left as it was.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_targets(parser)
    parser.add_argument(
        "--nesting",
        choices=["spare-proc", "skip"],
        default="spare-proc",
        help="where containers can be made in the container: mount a second, pristine procfs for them (default), or "
        "leave its /proc alone",
    )
    parser.add_argument("--strict", action="store_true", help="fail when any of the paths could not be mounted")
    parser.add_argument("--kept-alive", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument(
        "--watch", action="store_true", help="with --all: and every new one, while the files are served"
    )
    parser.add_argument(
        "--engines",
        metavar="LIST",
        type=value(engines),
        default=frozenset(),
        help="with --watch: docker,podman,… or all",
    )
    add_rules(parser)


def add_rules(parser: argparse.ArgumentParser) -> None:
    """Declare which containers are attached by themselves."""
    one = "RULE: engine:docker, name:web-*, label:tier=db, namespace:prod, or a name; can be repeated"
    for name, text in (("include", "only these containers"), ("exclude", "not these containers")):
        parser.add_argument(f"--{name}", metavar="RULE", action="append", default=[], type=value(Rule.parse), help=text)
    parser.epilog = f"{parser.epilog or ''}\n{one}\n"


def add_targets(parser: argparse.ArgumentParser) -> None:
    """Declare what `attach` and `detach` have in common."""
    parser.add_argument("targets", metavar="TARGET", nargs="*", help="id, name, engine:name, pid:N or cgroup path")
    parser.add_argument("--all", action="store_true", help="every container that runs now")
    parser.add_argument("--json", action="store_true", help="print what was done at each path as JSON")
    add_mount(parser)
    add_state_dir(parser)


def run(arguments: argparse.Namespace) -> int:
    """Attach each target; the exit code is 1 when one of them could not be."""
    from procfs_fuse import attach  # noqa: PLC0415 - only where it is used
    from procfs_fuse.attach.attachment import Nesting  # noqa: PLC0415
    from procfs_fuse.attach.containers import Machine  # noqa: PLC0415

    need_root("change the mounts of containers")
    instance = Registry(arguments.state_dir).select(arguments.mount)
    if arguments.watch:
        return _watch(arguments, instance)
    nesting = Nesting(arguments.nesting)
    with Machine() as machine:
        outcomes = [
            (container, attach.attach(instance, container.pid, machine.key_of(container.path), nesting))
            for container in chosen(arguments, machine)
        ]
    report(outcomes, as_json=arguments.json)
    return verdict(outcomes, strict=arguments.strict, everything=arguments.all)


def _watch(arguments: argparse.Namespace, instance: Instance) -> int:
    """Attach what comes until the instance ends."""
    from procfs_fuse.attach.attachment import Nesting  # noqa: PLC0415 - only where it is used
    from procfs_fuse.attach.watcher import Watcher  # noqa: PLC0415
    from procfs_fuse.integrations import auto_attach  # noqa: PLC0415

    if not arguments.all:
        raise UsageError("--watch needs --all", "name no containers: say which with --include and --exclude")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(process)d %(levelname)s %(message)s")
    syscalls.set_process_name("procfs-attach")
    rights.attach()
    hurry(with_children=True)  # its work takes milliseconds, when everybody else begins something; nothing waits for it
    rules = Rules(arguments.engines, tuple(arguments.include), tuple(arguments.exclude))

    def watch() -> int:
        watcher = Watcher(instance, rules, Nesting(arguments.nesting))
        try:
            watcher.run(auto_attach.Liveness(instance))
        finally:
            watcher.close()
        return 0

    return auto_attach.keep_alive(instance, watch) if arguments.kept_alive else watch()


def chosen(arguments: argparse.Namespace, machine: Machine) -> Iterator[Container]:
    """The containers that the command line names. Raises Failure."""
    if arguments.all == bool(arguments.targets):
        raise UsageError("name containers or give --all" if not arguments.all else "--all takes no names")
    if not arguments.all:
        yield from map(machine.find, arguments.targets)
        return
    rules = Rules(include=tuple(getattr(arguments, "include", ())), exclude=tuple(getattr(arguments, "exclude", ())))
    yield from (one for one in machine.all() if rules.wants(one.identity))


def report(outcomes: list[tuple[Container, Outcome]], *, as_json: bool) -> None:
    """Print what was done."""
    if as_json:
        rows = [
            {"container": one.title, "pid": one.pid, "cgroup": one.path, **outcome.to_json()}
            for one, outcome in outcomes
        ]
        print(json.dumps({"containers": rows}, indent=2))
        return
    for container, outcome in outcomes:
        if outcome.ok:
            print(printable(f"{container.title}: {outcome.sentence()}"))
            sys.stdout.writelines(_details(outcome))


def verdict(outcomes: list[tuple[Container, Outcome]], *, strict: bool, everything: bool) -> int:
    """The exit code, each problem on a line of its own."""
    code = 0
    for container, outcome in outcomes:
        incomplete = strict and any(file.fate.value in {"missing", "masked", "skipped"} for file in outcome.files)
        if outcome.ok and not incomplete:
            continue
        if outcome.gone and everything:
            continue  # it ended while we looked at the others
        what = outcome.problem or "not every path could be mounted (--strict)"
        print(printable(f"procfs-fuse: {container.title}: {what}"), file=sys.stderr)
        code = FAILED
    return code


def _details(outcome: Outcome) -> Iterator[str]:
    for file in outcome.files:
        note = f"  ({file.note})" if file.note else ""
        yield printable(f"  {file.fate.value:8} {file.path}{note}") + "\n"
    for place in outcome.spare:
        yield f"  spare    {place}  (a pristine procfs, so that containers can be made in there)\n"
