"""The command ``procfs-fuse``: one module of this package for each of its commands.

A command's module has ``EXAMPLES`` (for its --help), ``add_arguments(parser)`` and ``run(arguments) -> exit code``,
and, if it has a configuration file, ``expand(parser, words) -> words`` with what that says.
It is imported only when it is called: launching a container should not wait for the server's code.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import Final

from cgscope.arguments import Parser
from cgscope.errors import UsageError, guarded
from cgscope.suggest import did_you_mean

PROGRAM: Final = "procfs-fuse"
COMMANDS: Final = {
    "mount": "serve the virtual files at a mount point",
    "umount": "stop serving, and clean up after a server that died",
    "status": "show what is mounted and how it is doing",
    "restart": "have a newly installed version serve the same mounts",
    "show": "print one virtual file of one container, without any mount",
    "passthrough": "show the machine's values for a while, or the containers' again",
    "attach": "put the files into running containers, with no restart",
    "detach": "take them out again",
    "install": "teach a container engine to use the files",
    "hold": "run a server whose mounts the next one on this machine takes over",
    "oci-hook": "bind the files into a container that an OCI runtime makes",
    "oci-runtime": "an OCI runtime in front of runc or crun that adds the hook",
    "lxc-hook": "bind the files into a container that LXC makes",
    "seccomp-agent": "answer sysinfo(2) of containers as their files do",
    "seccomp-profile": "print a seccomp profile that sends sysinfo(2) to the agent",
    "run": "run a command in a container of its own that sees its limits",
}

_EPILOG: Final = """\
examples:
  procfs-fuse run --memory 256M --cpus 1 -- free -m
  procfs-fuse mount && docker run -m 256m -v /var/lib/procfs-fuse/proc/meminfo:/proc/meminfo:ro IMAGE free -m

Exit codes: 0 done, 1 failed (one line on standard error says why), 2 wrong usage; `run` has those of its command.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line ``arguments`` (default: the process's own); returns the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    command = words[0] if words and words[0] in COMMANDS else None
    return guarded(f"{PROGRAM} {command}" if command else PROGRAM, lambda: _dispatch(command, words))


def _dispatch(command: str | None, words: list[str]) -> int:
    if command is None:
        _top_level(words)
        return 0
    module = importlib.import_module(f"{__name__}.{command.replace('-', '_')}")
    parser = Parser(prog=f"{PROGRAM} {command}", description=_sentence(command), epilog=module.EXAMPLES)
    module.add_arguments(parser)
    expand = getattr(module, "expand", None)
    code: int = module.run(parser.parse_args(expand(parser, words[1:]) if expand else words[1:]))
    return code


def whole_parser() -> argparse.ArgumentParser:
    """All commands in one parser, from which manual pages and completions are made."""
    whole = Parser(
        prog=PROGRAM, description="A /proc that tells containers the truth about themselves.", epilog=_EPILOG
    )
    whole.add_argument("--version", action="version", version=_version())
    commands = whole.add_subparsers(metavar="COMMAND", title="commands")
    for name, text in COMMANDS.items():
        module = importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
        module.add_arguments(commands.add_parser(name, help=text, description=_sentence(name), epilog=module.EXAMPLES))
    return whole


def _top_level(words: list[str]) -> None:
    listing = "".join(f"  {name:<15} {text}\n" for name, text in COMMANDS.items())
    about = f"A /proc that tells containers the truth about themselves.\n\ncommands:\n{listing}"
    parser = Parser(prog=PROGRAM, usage=f"{PROGRAM} COMMAND [OPTION…]", description=about, epilog=_EPILOG)
    parser.add_argument("--version", action="version", version=_version())
    parser.add_argument("command", nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    wanted = parser.parse_args(words).command
    if wanted is None:
        raise UsageError("which command?", f"one of {', '.join(COMMANDS)}; see {PROGRAM} --help")
    advice = did_you_mean(wanted, COMMANDS) or f"one of {', '.join(COMMANDS)}"
    raise UsageError(f"there is no command {wanted!r}", advice)


def _sentence(command: str) -> str:
    text = COMMANDS[command]
    return f"{text[0].upper()}{text[1:]}."


def _version() -> str:
    from importlib import metadata  # noqa: PLC0415 - slow, and rarely asked for

    try:
        return f"{PROGRAM} {metadata.version('cgscope')}"
    except metadata.PackageNotFoundError:
        return f"{PROGRAM} (not installed)"
