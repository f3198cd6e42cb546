"""Options and checks that several commands share."""

from __future__ import annotations

import argparse
import os

from cgscope.errors import Failure
from procfs_fuse.instances import DEFAULT_STATE_DIR, STATE_DIR_VARIABLE


def add_state_dir(parser: argparse.ArgumentParser) -> None:
    """Add ``--state-dir``."""
    text = f"where the state of mounted instances is (default: ${STATE_DIR_VARIABLE} or {DEFAULT_STATE_DIR})"
    parser.add_argument("--state-dir", metavar="DIR", help=text)


def add_mount(parser: argparse.ArgumentParser) -> None:
    """Add ``--mount``, which chooses an instance."""
    parser.add_argument("--mount", metavar="DIR", help="the instance at this mount point, when several are mounted")


def need_root(what: str) -> None:
    """Raise Failure unless we are root."""
    if os.geteuid() != 0:
        raise Failure(f"only root can {what}", "try again with sudo")
