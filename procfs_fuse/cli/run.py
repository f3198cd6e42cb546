"""``procfs-fuse run``."""

from __future__ import annotations

import argparse
import os
import re
import sys
from typing import Final

from cgroup_model.control import Limits
from cgscope.arguments import value
from cgscope.errors import Failure, UsageError, printable
from cgscope.quantities import parse_size
from procfs_fuse.cli._common import add_mount, add_state_dir, need_root
from procfs_fuse.instances import Registry
from procfs_fuse.integrations import run as launcher

EXAMPLES: Final = """\
examples:
  procfs-fuse run --memory 256M --cpus 1 -- free -b
  procfs-fuse run --memory 1G --cpuset 0-1 --pids 100 --name web --rootfs /srv/root --user www-data -- httpd -f
  procfs-fuse run --env LANG=C -- sh                     an interactive shell

Without --rootfs the command sees the host's files. Exit codes: the command's own; 128 + N when signal N ended it;
126 when it cannot be executed, 127 when there is none; 1 when the container could not be made; 2 for wrong usage.
"""
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}", re.ASCII)
_HOSTNAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,62}[A-Za-z0-9])?", re.ASCII)
_LEAST_CPUS: Final = 0.01  # the kernel takes no quota below 1 ms in 100 ms
_MOST_CPUS: Final = 1_000_000
_MOST_PIDS: Final = 2**22  # PID_MAX_LIMIT, include/linux/threads.h


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("--memory", metavar="SIZE", type=value(_memory), help="memory limit: 256M, 1.5G")
    add(
        "--swap",
        metavar="SIZE",
        type=value(parse_size),
        help="swap beside the memory; 0: none (default: no limit of its own)",
    )
    add("--cpus", metavar="N", type=value(_cpus), help="CPU time limit in CPUs: 1, 0.5")
    add("--cpuset", metavar="LIST", help="CPUs it may run on: 0-1,4")
    add("--pids", metavar="N", type=value(_pids), help="limit of threads")
    add("--name", type=value(_name), help="name of the container (default: a random one)")
    add("--rootfs", metavar="DIR", help="directory that becomes its root (default: the host's root)")
    add("--user", metavar="USER[:GROUP]", help="run as this user of the container, by name or number (default: root)")
    add("--env", metavar="K=V", action="append", default=[], help="set a variable; K alone: take it over from here")
    add(
        "--hostname",
        type=value(_hostname),
        help="its host name (default: its name; the host's without name and rootfs)",
    )
    add(
        "--no-sysinfo",
        action="store_true",
        help="let sysinfo(2), which busybox's free asks, show the machine's values",
    )
    add(
        "--affinity",
        action="store_true",
        help="cut CPU affinity masks to the CPUs shown; see docs/seccomp.md",
    )
    add("--verbose", "-v", action="store_true", help="say what works less well than it might")
    add_mount(parser)
    add_state_dir(parser)
    add("command", metavar="COMMAND", nargs=argparse.REMAINDER, help="what to run, with its arguments")


def run(arguments: argparse.Namespace) -> int:
    """Run the container; returns its exit code."""
    command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    if not command:
        raise UsageError("which command?", "procfs-fuse run [OPTION…] -- COMMAND…")
    need_root("run containers")
    limits = Limits(
        memory_bytes=arguments.memory,
        swap_bytes=arguments.swap,
        cpus=arguments.cpus,
        cpuset=_cpuset(arguments.cpuset),
        pids=arguments.pids,
    )
    request = launcher.Request(
        command=tuple(command),
        limits=limits,
        name=arguments.name,
        rootfs=_rootfs(arguments.rootfs),
        user=arguments.user,
        environment=_environment(arguments.env),
        hostname=arguments.hostname,
        mountpoint=arguments.mount,
        sysinfo=not arguments.no_sysinfo,
        affinity=arguments.affinity,
        note=_say if arguments.verbose else lambda _text: None,
    )
    return launcher.run(request, Registry(arguments.state_dir))


def _say(text: str) -> None:
    print(f"procfs-fuse run: {printable(text)}", file=sys.stderr)


def _memory(text: str) -> int:
    size = parse_size(text)
    if size == 0:
        raise ValueError("no program runs in 0 bytes of memory")
    return size


def _cpus(text: str) -> float:
    try:
        cpus = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number of CPUs; examples: 1, 0.5") from None
    if not _LEAST_CPUS <= cpus <= _MOST_CPUS:
        raise ValueError(f"{text!r} is not a number of CPUs that can be limited to; the least is {_LEAST_CPUS}")
    return cpus


def _pids(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text[:9]) <= _MOST_PIDS:
        raise ValueError(f"{text!r} is not a number of threads from 1 to {_MOST_PIDS}")
    return int(text)


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError(f"{text!r} is no name: letters, digits, . _ - and not more than 63 of them")
    return text


def _hostname(text: str) -> str:
    if not _HOSTNAME.fullmatch(text):
        raise ValueError(f"{text!r} is no host name: letters, digits, . and - and not more than 64 of them")
    return text


def _cpuset(text: str | None) -> str | None:
    """The list, checked against the machine: the kernel's own answer would be just "invalid argument"."""
    if text is None:
        return None
    from cgroup_model.parse import ParseError, format_id_list, id_list  # noqa: PLC0415 - rarely needed

    with open("/sys/devices/system/cpu/online", "rb") as file:
        online = id_list(file.read())
    try:
        wanted = id_list(text.encode())
    except ParseError:
        raise UsageError(f"--cpuset {text!r} is not a list of CPUs", "examples: 0, 0-3, 0-1,4") from None
    absent = sorted(set(wanted) - set(online))
    if absent or not wanted:
        known = format_id_list(online)
        raise UsageError(f"--cpuset {text!r}: this machine has no CPU {absent[0] if absent else ''}", f"it has {known}")
    return text


def _rootfs(text: str | None) -> str | None:
    if text is None:
        return None
    path = os.path.realpath(text)
    if not os.path.isdir(path):
        reason = "is not a directory" if os.path.lexists(path) else "does not exist"
        raise Failure(f"the root file system {text} {reason}", "unpack an image there first")
    return path


def _environment(words: list[str]) -> dict[str, str]:
    environment = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not name:
            raise UsageError(f"--env {word!r} sets no variable", "write NAME=VALUE")
        if equals:
            environment[name] = text
        elif name in os.environ:
            environment[name] = os.environ[name]
    return environment
