"""The command ``cgscope``: what concerns all tools at once."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Final

from cgscope.arguments import Parser
from cgscope.doctor.examine import examine
from cgscope.doctor.machine import Machine
from cgscope.doctor.report import as_json, as_text, is_well
from cgscope.errors import FAILED, guarded
from cgscope.terminal import wants_colour

PROGRAM: Final = "cgscope"

_EPILOG: Final = """\
examples:
  sudo cgscope doctor                                  what works here, what does not, and what to do about it
  sudo cgscope doctor --json | jq '.checks[].findings[] | select(.verdict == "problem")'

Exit codes: 0 no problem found, 1 there is one, 2 wrong usage. The report names neither the host nor its users, so that
it can be pasted into a bug report.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line ``arguments`` (default: the process's own); returns the exit code."""
    return guarded(PROGRAM, lambda: _run(parser().parse_args(arguments)))


def parser() -> Parser:
    """Declare the options."""
    found = Parser(prog=PROGRAM, description="Look after this machine's container-aware tools.", epilog=_EPILOG)
    commands = found.add_subparsers(metavar="COMMAND", required=True)
    doctor = commands.add_parser("doctor", help="check this machine", description="Check this machine.", epilog=_EPILOG)
    doctor.add_argument("--json", action="store_true", help="print everything as one JSON object")
    return found


def _run(options: argparse.Namespace) -> int:
    report = list(examine(Machine()))
    sys.stdout.write(as_json(report) if options.json else as_text(report, colour=wants_colour(sys.stdout)))
    return 0 if is_well(report) else FAILED
