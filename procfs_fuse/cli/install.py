"""``procfs-fuse install``."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from typing import Final

from cgscope.errors import printable
from cgscope.terminal import paint, wants_colour
from procfs_fuse.cli._common import add_mount, need_root
from procfs_fuse.integrations import install, runtime_wrapper
from procfs_fuse.integrations.install.edits import Change, Installation, change

EXAMPLES: Final = """\
examples:
  procfs-fuse install --engine docker --dry-run     show what would be written
  procfs-fuse install --engine docker --default     every container of Docker has the files
  procfs-fuse install --engine podman --uninstall   take it back

Files of others are added to, never replaced, and nothing is restarted.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--engine", required=True, choices=install.ENGINES, help="whom to teach")
    parser.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")
    parser.add_argument("--uninstall", action="store_true", help="take back what install wrote")
    parser.add_argument("--default", action="store_true", help="docker: use it for every container")
    parser.add_argument("--strict", action="store_true", help="containers do not start where the files cannot be bound")
    parser.add_argument(
        "--root", metavar="DIR", default="", help="a file system tree instead of / (for building images)"
    )
    add_mount(parser)


def run(arguments: argparse.Namespace) -> int:
    """Show the differences and, unless it is a dry run, make them."""
    module = install.engine(arguments.engine)
    options = [f"--mount={arguments.mount}"] if arguments.mount else []
    options += ["--strict"] if arguments.strict else []
    installation = Installation(_program(), tuple(options), arguments.root.rstrip("/"), arguments.default)
    edits = module.edits(installation)
    changes = [change(edit, installation.root, uninstall=arguments.uninstall) for edit in edits]
    wanted = [one for one in changes if one.before != one.after]
    for one in wanted:
        sys.stdout.write(_coloured(one))
    if arguments.dry_run or not wanted:
        print("nothing was changed" if wanted else "nothing to do: it is as it should be")
        return 0
    if not installation.root:
        need_root("write to the engines' files")
    for one in wanted:
        one.make()
    print(f"done; next: {module.AFTERWARDS}" if not arguments.uninstall else "done")
    return 0


def _program() -> tuple[str, ...]:
    """The words that start us: the installed command, else this interpreter with this package."""
    found = shutil.which("procfs-fuse")
    return (os.path.realpath(found),) if found else tuple(runtime_wrapper.this_program())


def _coloured(one: Change) -> str:
    colour = wants_colour(sys.stdout)
    styles = {"+": "green", "-": "red"}
    lines = one.diff.splitlines()
    painted = (paint(printable(line), styles[line[0]], colour=colour) if line[:1] in styles else line for line in lines)
    return "".join(f"{line}\n" for line in painted)
