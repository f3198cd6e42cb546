"""The command ``ctop``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from cgroup_model.mounts import OutOfSight
from cgscope.arguments import Parser, value
from cgscope.errors import Failure, UsageError, guarded
from cgscope.quantities import parse_duration
from cgscope.terminal import columns as text_columns
from cgscope.terminal import wants_colour
from ctop.arrange import GROUPINGS, View
from ctop.columns import COLUMNS, DEFAULT, Column, chosen, listing
from ctop.filters import parse as parse_filter
from ctop.first import Handover
from ctop.live import Live
from ctop.session import open_session
from ctop.settings import Settings, load, path_of
from ctop.themes import THEMES, choose
from ctop.times import local_zone

if TYPE_CHECKING:
    from ctop.app import CtopApp
    from ctop.batch import Batch, Format
    from ctop.recorded import Replay
    from ctop.scene import Scenes
    from ctop.session import Session

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
    time = found.add_mutually_exclusive_group()
    time.add_argument("--record", metavar="FILE", help="also write everything to FILE (a day or 256 MiB at most)")
    time.add_argument("--replay", metavar="FILE", help="show a recording, of this or another host: [ ] J O space")
    found.add_argument("--theme", choices=THEMES, help="colours of the interactive view; NO_COLOR means mono")
    found.add_argument("--read-only", action="store_true", help="nothing can be changed from the interactive view")
    found.add_argument("--list-columns", action="store_true", help="print all columns with their definitions")
    return found


def _run(options: argparse.Namespace) -> int:
    if options.list_columns:
        sys.stdout.write(text_columns([("NAME", "FIELD", "MEANING"), *listing()]))
        return 0
    if options.once or options.count or options.json or options.csv:
        return run_batch(batch_of(options), scenes_of(options))
    return run_interactive(options)


def scenes_of(options: argparse.Namespace) -> Scenes:
    """What batch mode prints."""
    if options.replay:
        return open_replay(options.replay)
    return recorded(open_live(), options.record) if options.record else open_live()


def open_live() -> Live:
    """This machine; raises `Failure` when it shows no cgroups."""
    try:
        return Live()
    except OutOfSight as error:
        raise Failure(str(error), "ctop needs /sys/fs/cgroup") from error


def run_interactive(options: argparse.Namespace) -> int:
    """Show the screen until the user leaves."""
    settings = settings_of(options)
    if not (os.isatty(0) and os.isatty(1)):
        raise UsageError("standard input and output are no terminal", "use --once, -n, --json or --csv")
    sys.__stderr__ = sys.__stdout__  # type: ignore[misc] # where textual draws: `ctop 2>log` must still show something
    if options.replay:
        replay = open_replay(options.replay)
        return _show(open_session(replay, settings, recorded=replay), settings, None, is_read_only=True)
    live = open_live()
    scenes = recorded(live, options.record) if options.record else live
    return _show(open_session(scenes, settings), settings, live, is_read_only=options.read_only)


def _show(session: Session, settings: Settings, live: Live | None, *, is_read_only: bool) -> int:
    theme, zone = choose(settings.theme, os.environ), local_zone()
    try:
        with Handover(session, theme, zone, has_head=settings.head, is_read_only=is_read_only) as before:
            app = _app()(session, settings, live=live, read_only=is_read_only, zone=zone, before=before)
            app.run()
    finally:
        session.scenes.close()
    if app.failure is not None:
        raise app.failure
    return 0


def _app() -> type[CtopApp]:
    """Import what draws everything but the first frame; it takes a while."""
    sys.modules.setdefault("ssl", None)  # type: ignore[arg-type] # asyncio does without: 5 MiB less, and no TLS here
    from ctop.app import CtopApp  # noqa: PLC0415 - and batch mode does without

    return CtopApp


def recorded(live: Live, path: str) -> Scenes:
    """Live scenes that are written to a file as well."""
    from cgroup_model.recording import Recorder, RecordingError  # noqa: PLC0415 - SQLite, which few need
    from ctop.recorded import RecordingScenes  # noqa: PLC0415

    try:
        return RecordingScenes(live, Recorder(path))
    except RecordingError as error:
        live.close()
        raise Failure(str(error), "choose a file in a directory that may be written") from error


def open_replay(path: str) -> Replay:
    """The scenes of a recording."""
    from cgroup_model.recording import Recording, RecordingError  # noqa: PLC0415 - SQLite, which few need
    from ctop.recorded import Replay  # noqa: PLC0415

    try:
        return Replay(Recording(path))
    except RecordingError as error:
        raise Failure(str(error), "ctop --record FILE makes recordings") from error


def settings_of(options: argparse.Namespace) -> Settings:
    """The saved settings, with what the command line says instead."""
    settings = load(path_of(os.environ))
    given = {
        "delay": options.delay,
        "columns": tuple(column.name for column in chosen(options.columns.split(","))) if options.columns else None,
        "sort": view_of(options).sort if options.sort else None,
        "reverse": options.reverse or None,
        "tree": options.tree,
        "group": options.group,
        "all": options.all,
        "theme": options.theme,
        "filter": view_of(options).filter.text or None,
    }
    return replace(settings, **{name: value for name, value in given.items() if value is not None})


def batch_of(options: argparse.Namespace) -> Batch:
    """What the options ask to print."""
    from ctop.batch import Batch  # noqa: PLC0415 - the interactive view does without

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
        delay=_batch_delay(options),
        count=1 if options.once else options.count,
        warm_up=options.once,
    )


def _batch_delay(options: argparse.Namespace) -> float:
    """Between two samples; a recording is printed as fast as it can be read."""
    default = 0.0 if options.replay else 1.0
    return default if options.delay is None else float(options.delay)


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
    import shutil  # noqa: PLC0415 - as above

    from ctop.batch import csv_heading, csv_rows, json_line, samples, table_lines  # noqa: PLC0415 - as above
    from ctop.output import Output  # noqa: PLC0415

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
