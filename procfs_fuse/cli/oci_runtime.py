"""``procfs-fuse oci-runtime``: called by engines in the place of runc or crun."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from typing import Final, NoReturn

from cgscope.arguments import Parser
from cgscope.errors import Failure
from procfs_fuse.cli.oci_hook import add_hook_options, tolerant
from procfs_fuse.instances import Registry
from procfs_fuse.integrations import runtime_wrapper

EXAMPLES: Final = """\
examples:
  dockerd --add-runtime procfs=/usr/bin/procfs-fuse-runtime      a script: exec procfs-fuse oci-runtime -- "$@"
  procfs-fuse oci-runtime --runtime /usr/bin/crun -- run -b BUNDLE ID

Everything after -- goes to the real runtime as it is. Before it makes a container, the hook is added to config.json.
"""
_RUNTIMES: Final = ("runc", "crun")
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--runtime", metavar="PROGRAM", help=f"the real runtime (default: {' or '.join(_RUNTIMES)})")
    parser.add_argument("--sysinfo", action="store_true", help="have procfs-fuse seccomp-agent answer sysinfo(2)")
    parser.add_argument("--affinity", action="store_true", help="and CPU affinity masks: see docs/seccomp.md first")
    add_hook_options(parser)
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="-- ARGUMENT", help="what the engine says")


def expand(parser: Parser, words: Sequence[str]) -> list[str]:  # noqa: ARG001 - the protocol of commands
    """Take the engine's words out of argparse's sight: it would understand some as our own."""
    position = words.index("--") if "--" in words else 0
    return [*words[:position], "--", *words[position:][("--" in words) :]]


def run(arguments: argparse.Namespace) -> NoReturn:
    """Add the hook, and become the real runtime."""
    words = arguments.words[1:] if arguments.words[:1] == ["--"] else arguments.words
    runtime = _find(arguments.runtime)
    code = tolerant(lambda: _prepare(arguments, words), "oci-runtime", strict=arguments.strict)
    if code:
        sys.exit(code)
    os.execv(runtime, [os.path.basename(runtime), *words])  # noqa: S606 - that is the purpose


def _prepare(arguments: argparse.Namespace, words: Sequence[str]) -> None:
    bundle = runtime_wrapper.understand(words).bundle
    if bundle is None:
        return
    options = [f"--mount={arguments.mount}"] if arguments.mount else []
    options += [f"--state-dir={arguments.state_dir}"] if arguments.state_dir else []
    options += ["--strict"] if arguments.strict else []
    runtime_wrapper.add_hook(bundle, runtime_wrapper.hook(options))
    if arguments.sysinfo or arguments.affinity:
        _add_listener(arguments, bundle)


def _add_listener(arguments: argparse.Namespace, bundle: str) -> None:
    """Only where an agent serves: without one the container would not start."""
    from procfs_fuse.seccomp import handover, words  # noqa: PLC0415 - not asked for by most
    from procfs_fuse.seccomp.abi import SCHED_GETAFFINITY, SYSINFO  # noqa: PLC0415
    from procfs_fuse.seccomp.profile import NotAProfile  # noqa: PLC0415

    path = os.path.join(Registry(arguments.state_dir).base, handover.SOCKET_NAME)
    calls = [SYSINFO, SCHED_GETAFFINITY] if arguments.affinity else [SYSINFO]
    if not handover.is_served(path):
        raise Failure(f"no agent answers on {path}: sysinfo(2) shows the machine", "start: procfs-fuse seccomp-agent")
    try:
        runtime_wrapper.add_listener(bundle, calls, path, words.metadata(affinity=arguments.affinity))
    except NotAProfile as error:
        raise Failure(f"the seccomp profile in {bundle}/config.json cannot be extended: {error}") from error


def _find(wanted: str | None) -> str:
    path = os.environ.get("PATH") or _PATH
    for name in [wanted] if wanted else _RUNTIMES:
        if found := shutil.which(name, path=path) or shutil.which(name, path=_PATH):
            return os.path.abspath(found)
    raise Failure(f"no runtime {wanted or ' or '.join(_RUNTIMES)}", "name it with --runtime")
