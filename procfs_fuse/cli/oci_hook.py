"""``procfs-fuse oci-hook``: called by OCI runtimes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Final

from cgscope.errors import Failure, explain, printable
from procfs_fuse.cli._common import add_mount, add_state_dir
from procfs_fuse.integrations import oci

EXAMPLES: Final = """\
As the hook createContainer of a container's config.json; `procfs-fuse install --engine podman` sets it up:
  {"path": "/usr/bin/procfs-fuse", "args": ["procfs-fuse", "oci-hook"], "env": ["PATH=/usr/bin:/bin"]}

A container is started with the machine's files when ours cannot be bound, unless --strict is given. One with the
annotation cgscope.attach=off is left alone.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_hook_options(parser)


def add_hook_options(parser: argparse.ArgumentParser) -> None:
    """Declare what all hooks have."""
    parser.add_argument("--strict", action="store_true", help="let the container fail when the files cannot be bound")
    add_mount(parser)
    add_state_dir(parser)


def run(arguments: argparse.Namespace) -> int:
    """Bind the files into the container whose state is on standard input."""
    return tolerant(lambda: _bind(arguments), "oci-hook", strict=arguments.strict)


def _bind(arguments: argparse.Namespace) -> None:
    from procfs_fuse.integrations import hooks  # noqa: PLC0415 - nothing of it may keep a container from starting

    container = oci.read(sys.stdin.buffer.read())
    if oci.opts_out(container.annotations):
        return
    setup = hooks.Setup(container.root, [container.id], container.hides_proc)
    hooks.bind(setup, arguments.mount, arguments.state_dir)


def tolerant(work: Callable[[], None], name: str, *, strict: bool) -> int:
    """Do a hook's work: whatever fails is told, and is no reason for a container not to start unless ``strict``."""
    try:
        work()
    except Failure as failure:
        text = str(failure)
    except OSError as error:
        text = explain(error)
    except Exception as error:  # noqa: BLE001 - a mistake of ours is no reason, either
        text = f"{type(error).__name__}: {error}"
    else:
        return 0
    print(printable(f"procfs-fuse {name}: {text}"), file=sys.stderr)
    return int(strict)
