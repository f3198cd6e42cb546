"""The command ``ctop``."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from cgroup_model.mounts import OutOfSight
from cgscope.arguments import Parser, value
from cgscope.errors import Failure, UsageError, guarded
from cgscope.quantities import parse_duration
from cgscope.terminal import columns as text_columns
from cgscope.terminal import wants_colour
from ctop.arrange import GROUPINGS, View
from ctop.batch import Batch, Format, csv_heading, csv_rows, json_line, samples, table_lines
from ctop.columns import COLUMNS, DEFAULT, Column, chosen, listing
from ctop.filters import parse as parse_filter
from ctop.live import Live
from ctop.output import Output

if TYPE_CHECKING:
    from ctop.scene import Scenes

PROGRAM: Final = "ctop"
_LEAST_DELAY: Final = 0.1

_EPILOG: Final = """\
examples:
  ctop                                     the interactive view; ? shows the keys
  ctop --once --sort memory                one table, measured over one interval
  ctop -n 3 -d 5s --json                   three samples, five seconds apart, a line of JSON each
  ctop --csv --columns name,cpu,memory --filter '!kubepods' > usage.csv

Unknown values show as -, unlimited ones as max; ^ behind a limit means that an ancestor sets it. Rates need two looks:
the first table of -n shows - for them, --once looks twice.
Exit codes: 0 done, 1 failed (one line on standard error says why), 2 wrong usage.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line ``arguments`` (default: the process's own); returns the exit code."""
    return guarded(PROGRAM, lambda: _run(parser().parse_args(arguments)))


def parser() -> Parser:
    """Declare the options."""
    found = Parser(
        prog=PROGRAM, description="htop for containers: live, with history, on every engine.", epilog=_EPILOG
    )
    found.add_argument("-d", "--delay", metavar="SECONDS", type=value(_delay), help="between two looks (default: 1s)")
    found.add_argument("-n", "--count", metavar="N", type=value(_count), help="print N samples and end")
    found.add_argument("--once", action="store_true", help="print one sample, measured over one interval, and end")
    how = found.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="print a line of JSON per sample")
    how.add_argument("--csv", action="store_true", help="print CSV")
    found.add_argument("--columns", metavar="NAMES", help="comma-separated; see --list-columns")
    found.add_argument("--sort", metavar="COLUMN", help="sort by this column (default: cpu)")
    found.add_argument("--reverse", action="store_true", help="sort the other way round")
    found.add_argument("--filter", metavar="TEXT", help="substring, !not, ~regex")
    found.add_argument("--tree", action="store_true", default=None, help="show cgroups below their parents")
    found.add_argument("--group", choices=GROUPINGS, help="group the flat list")
    found.add_argument("--all", action="store_true", default=None, help="every cgroup, also slices and plain ones")
    found.add_argument("--list-columns", action="store_true", help="print all columns with their definitions")
    return found


def _run(options: argparse.Namespace) -> int:
    if options.list_columns:
        sys.stdout.write(text_columns([("NAME", "FIELD", "MEANING"), *listing()]))
        return 0
    return run_batch(batch_of(options), open_scenes(options))


def open_scenes(_options: argparse.Namespace) -> Scenes:
    """This machine; raises `Failure` when it shows no cgroups."""
    try:
        return Live()
    except OutOfSight as error:
        raise Failure(str(error), "ctop needs /sys/fs/cgroup") from error


def batch_of(options: argparse.Namespace) -> Batch:
    """What the options ask to print."""
    style: Format = "json" if options.json else "csv" if options.csv else "table"
    if options.columns:
        columns = chosen(options.columns.split(","))
    else:
        columns = chosen(DEFAULT) if style == "table" else tuple(COLUMNS.values())
    if not columns:
        raise UsageError("no columns", "see ctop --list-columns")
    return Batch(
        format=style,
        columns=columns,
        view=view_of(options),
        delay=1.0 if options.delay is None else options.delay,
        count=1 if options.once else options.count,
        warm_up=options.once,
    )


def view_of(options: argparse.Namespace) -> View:
    """What the options ask to see."""
    sort: Column = chosen([options.sort or "cpu"])[0]
    narrowed = parse_filter(options.filter or "")
    if narrowed.hint:
        raise UsageError(f"--filter {options.filter!r}: {narrowed.hint}")
    return View(
        sort=sort.name,
        reverse=options.reverse,
        filter=narrowed,
        tree=bool(options.tree),
        group=options.group or "none",
        show_all=bool(options.all),
    )


def run_batch(batch: Batch, scenes: Scenes) -> int:
    """Print until the count is reached or somebody interrupts."""
    terminal = os.isatty(1)
    output = Output(sys.stdout, colour=wants_colour(sys.stdout))
    width = shutil.get_terminal_size().columns if terminal else None
    if batch.format == "csv":
        output.write(csv_heading(batch))
    try:
        for number, (scene, rows) in enumerate(samples(scenes, batch)):
            if batch.format == "json":
                output.write(json_line(scene, rows, batch) + "\n")
            elif batch.format == "csv":
                output.write(csv_rows(scene, rows, batch))
            else:
                output.write("\n" if number else "")
                output.lines(table_lines(scene, rows, batch, width))
    finally:
        scenes.close()
    return 0


def _delay(text: str) -> float:
    seconds = parse_duration(text)
    if seconds < _LEAST_DELAY:
        raise ValueError(f"{text!r} is too short; {_LEAST_DELAY:g} s is the least")
    return seconds


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{text!r} is not a number of samples; 1 is the least")
    return int(text)
