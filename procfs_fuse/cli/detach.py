"""``procfs-fuse detach``."""

from __future__ import annotations

import argparse
from typing import Final

from procfs_fuse.cli._common import need_root
from procfs_fuse.cli.attach import add_targets, chosen, report, verdict
from procfs_fuse.instances import Registry

EXAMPLES: Final = """\
examples:
  procfs-fuse detach web        the container sees the machine's files again
  procfs-fuse detach --all      every container that runs now
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_targets(parser)


def run(arguments: argparse.Namespace) -> int:
    """Detach each target; the exit code is 1 when one of them could not be."""
    from procfs_fuse import attach  # noqa: PLC0415 - only where it is used
    from procfs_fuse.attach.containers import Machine  # noqa: PLC0415

    need_root("change the mounts of containers")
    registry = Registry(arguments.state_dir)
    # Also of a server that died; and without any, everything of ours.
    instance = registry.find(arguments.mount) if arguments.mount else registry.preferred(registry.recorded())
    with Machine() as machine:
        outcomes = [(one, attach.detach(instance, one.pid)) for one in chosen(arguments, machine)]
    report(outcomes, as_json=arguments.json)
    return verdict(outcomes, strict=False, everything=arguments.all)
