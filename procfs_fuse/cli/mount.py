"""``procfs-fuse mount``."""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Callable, Sequence
from typing import Final

from cgscope.arguments import Parser, value
from cgscope.errors import Failure, UsageError, explain
from cgscope.quantities import parse_duration
from procfs_fuse import background, mountpoint
from procfs_fuse.cli._common import add_policy, add_state_dir, need_root, policy_of, policy_words
from procfs_fuse.configuration import words_with_file
from procfs_fuse.descriptors import close_all_but
from procfs_fuse.instances import DEFAULT_MOUNTPOINT, Instance, Registry, canonical, private_directory
from procfs_fuse.integrations import auto_attach
from procfs_fuse.keeper import service_manager
from procfs_fuse.selection import Selection, joined, patterns
from procfs_fuse.settings import DEFAULT_REQUEST_SECONDS, Settings
from procfs_fuse.transport import mounting

EXAMPLES: Final = """\
examples:
  procfs-fuse mount                                   at /var/lib/procfs-fuse, in the background
  procfs-fuse mount --foreground --ttl 0 /mnt/procfs  log to standard error; every read is fresh
"""
DEFAULT_FILE: Final = "/etc/cgscope/procfs-fuse.yaml"
_MOST_TTL_MS: Final = 60_000
_LEAST_REQUEST_SECONDS: Final = 0.1
_MOST_REQUEST_SECONDS: Final = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("directory", metavar="DIR", nargs="?", help=f"mount point (default: {DEFAULT_MOUNTPOINT})")
    parser.add_argument("--foreground", action="store_true", help="serve in this process; SIGTERM or Ctrl-C unmounts")
    parser.add_argument(
        "--ttl",
        metavar="MS",
        type=value(_ttl),
        default=10,
        help="age that a cached file may have (default: 10 ms; 0: none)",
    )
    parser.add_argument(
        "--transport",
        choices=["kernel", "fusepy"],
        default="kernel",
        help="how requests reach us: straight from the kernel (default), or through libfuse 2, which can do less",
    )
    parser.add_argument(
        "--files", metavar="LIST", type=value(patterns), default=(), help="serve only these: proc/stat,proc/pressure/*"
    )
    parser.add_argument("--no-files", metavar="LIST", type=value(patterns), default=(), help="serve all but these")
    parser.add_argument(
        "--attach",
        metavar="ENGINES",
        type=value(_engines),
        default=auto_attach.NONE,
        help="attach new containers by themselves: all, none (default), or a list such as docker,podman",
    )
    for name, text in (("include", "only"), ("exclude", "all but")):
        parser.add_argument(
            f"--attach-{name}",
            metavar="RULES",
            type=value(_rules),
            default=(),
            help=f"with --attach: {text} these, such as name:web-*,label:tier=db,namespace:prod",
        )
    parser.add_argument("--pidfile", metavar="FILE", help="write the server's process id there while it serves")
    parser.add_argument("--config", metavar="FILE", help=f"settings, these options in YAML (default: {DEFAULT_FILE})")
    parser.add_argument("--no-config", action="store_true", help="read no such file")
    add_policy(parser)
    add_state_dir(parser)
    parser.add_argument("--automatic", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument(
        "--request-timeout",
        metavar="TIME",
        type=value(_request_timeout),
        default=DEFAULT_REQUEST_SECONDS,
        help="a request that takes longer is taken from the process that hangs on it (default: 3s)",
    )
    parser.add_argument("--ready-fd", type=int, default=None, help=argparse.SUPPRESS)
    parser.add_argument("--resume", default=None, help=argparse.SUPPRESS)


def expand(parser: Parser, words: Sequence[str]) -> list[str]:
    """Put what the configuration file says before the words of the command line."""
    return words_with_file(parser, words, DEFAULT_FILE)


def run(arguments: argparse.Namespace) -> int:
    """Mount, here or in the background."""
    if arguments.ready_fd is None:
        return _mount(arguments, lambda: None)
    close_all_but({arguments.ready_fd})
    try:
        return _mount(arguments, lambda: background.announce_ready(arguments.ready_fd))
    except OSError as error:
        background.announce_failure(arguments.ready_fd, Failure(explain(error)))
        raise
    except Failure as failure:
        background.announce_failure(arguments.ready_fd, failure)
        raise


def _mount(arguments: argparse.Namespace, on_ready: Callable[[], None]) -> int:
    need_root("mount")
    registry = Registry(arguments.state_dir)
    if arguments.resume is not None:
        _serve(arguments, arguments.directory, registry.directory_for(arguments.directory), on_ready)
        return 0
    if service_manager.inherited():  # the mounts are there, and have been kept for us
        place = canonical(arguments.directory or DEFAULT_MOUNTPOINT)
        _serve(arguments, place, registry.directory_for(place), on_ready)
        return 0
    os.close(mounting.open_device())
    if (running := _running(arguments, registry)) is not None:
        _adopt(running, arguments, registry)
        return 0
    place = _place(arguments.directory, registry)
    directory = registry.directory_for(place)
    if arguments.foreground:
        _serve(arguments, place, directory, on_ready)
        return 0
    private_directory(registry.base)
    background.start(_words(arguments, place, registry), os.path.join(private_directory(directory), "log"))
    instance = registry.select(place)
    background.probe(instance)
    return 0


def _running(arguments: argparse.Namespace, registry: Registry) -> Instance | None:
    found = registry.find(arguments.directory or DEFAULT_MOUNTPOINT)
    return found if found is not None and found.alive else None


def _adopt(running: Instance, arguments: argparse.Namespace, registry: Registry) -> None:
    from procfs_fuse.cli import _adoption  # noqa: PLC0415 - only where it is used

    if arguments.foreground:
        served = f"{running.mountpoint} is served already by process {running.pid}, in a session of its own"
        raise Failure(served, "end that one first: procfs-fuse umount --keep")
    parser = Parser()
    add_arguments(parser)
    words = ["--foreground", *_words(arguments, running.mountpoint, registry)]
    _adoption.adopt(running, parser, words)


def _place(wanted: str | None, registry: Registry) -> str:
    """The mount point, checked; what a dead server left on it is cleared away."""
    place = DEFAULT_MOUNTPOINT if wanted is None else wanted
    # Without a record it is what a service manager kept for a successor that never came.
    if (before := registry.find(place)) is not None or mountpoint.is_dead(place):
        directory = registry.directory_for(place) if before is None else before.directory
        mountpoint.clear(directory, canonical(place))
    if wanted is None:
        os.makedirs(place, exist_ok=True)  # not before: what is dead is no folder
    return mountpoint.check(place)


def _serve(arguments: argparse.Namespace, place: str, directory: str, on_ready: Callable[[], None]) -> None:
    from procfs_fuse import daemon  # noqa: PLC0415 - which the background case does not need here

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(process)d %(levelname)s %(message)s")
    settings = Settings(
        place,
        directory,
        arguments.ttl,
        policy_of(arguments),
        arguments.automatic,
        selection=_selection(arguments),
        pidfile=arguments.pidfile,
        request_seconds=arguments.request_timeout,
    )
    registry = Registry(arguments.state_dir)
    words = ["--foreground", *_words(arguments, place, registry)]

    def ready() -> None:
        if arguments.attach != auto_attach.NONE:
            auto_attach.launch(place, registry.base, _attach_words(arguments))
        on_ready()

    if arguments.transport == "fusepy":
        from procfs_fuse import single  # noqa: PLC0415 - seldom needed

        single.serve(settings, words, ready)
        return
    daemon.serve(settings, words, ready, arguments.resume)


def _selection(arguments: argparse.Namespace) -> Selection:
    """The chosen files, checked: a name that is none would go unnoticed until somebody misses the file."""
    selection = Selection(arguments.files, arguments.no_files)
    if selection == Selection():
        return selection
    from procfs_fuse.views import TREES, VIEWS  # noqa: PLC0415 - all views, which the other cases do not need here

    try:
        selection.of({**VIEWS, **TREES})
    except ValueError as error:
        raise UsageError(str(error), f"one of {', '.join([*VIEWS, *TREES])}") from error
    return selection


def _words(arguments: argparse.Namespace, place: str, registry: Registry) -> list[str]:
    """The command line of the process in the background."""
    words = ["--state-dir", registry.base, "--ttl", str(arguments.ttl), "--transport", arguments.transport]
    words += ["--no-config", *policy_words(policy_of(arguments))]
    words += [f"--files={joined(arguments.files)}"] if arguments.files else []
    words += [f"--no-files={joined(arguments.no_files)}"] if arguments.no_files else []
    words += ["--request-timeout", f"{arguments.request_timeout}s", *(["--automatic"] if arguments.automatic else [])]
    words += [f"--pidfile={os.path.abspath(arguments.pidfile)}"] if arguments.pidfile else []
    words += ["--attach", arguments.attach]
    words += [f"--attach-{kind}={','.join(rules)}" for kind, rules in _rules_of(arguments) if rules]
    return [*words, "--", place]


def _attach_words(arguments: argparse.Namespace) -> list[str]:
    """The options of the process that attaches."""
    rules = [f"--{kind}={rule}" for kind, chosen in _rules_of(arguments) for rule in chosen]
    return ["--engines", arguments.attach, *rules]


def _rules_of(arguments: argparse.Namespace) -> list[tuple[str, tuple[str, ...]]]:
    return [("include", arguments.attach_include), ("exclude", arguments.attach_exclude)]


def _engines(text: str) -> str:
    if text != auto_attach.NONE:
        from procfs_fuse.attach import rules  # noqa: PLC0415 - the keeper needs nothing of what that imports

        rules.engines(text)
    return text


def _rules(text: str) -> tuple[str, ...]:
    from procfs_fuse.attach import rules  # noqa: PLC0415 - only where it is used

    chosen = patterns(text)
    rules.rules(chosen)
    return chosen


def _request_timeout(text: str) -> float:
    seconds = parse_duration(text)
    if not _LEAST_REQUEST_SECONDS <= seconds <= _MOST_REQUEST_SECONDS:
        raise ValueError(f"{text!r} is not a time from {_LEAST_REQUEST_SECONDS}s to {_MOST_REQUEST_SECONDS}s")
    return seconds


def _ttl(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text[:9]) > _MOST_TTL_MS:
        raise ValueError(f"{text!r} is not a number of milliseconds from 0 to {_MOST_TTL_MS}")
    return int(text)
