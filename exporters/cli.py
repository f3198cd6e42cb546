"""The command ``cgroup-exporter``."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence

from cgroup_model.mounts import OutOfSight
from cgscope.errors import Failure, Failures, guarded
from cgscope.yamlfile import ConfigError
from exporters.alerts.listing import list_alerts
from exporters.encoder import encode
from exporters.options import Options, options, parser, split_address
from exporters.privileges import give_up
from exporters.setup import Exporter, raise_descriptor_limit
from exporters.web_config import WebConfigFile

PROGRAM = "cgroup-exporter"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line ``arguments`` (default: the process's own); returns the exit code."""
    return guarded(PROGRAM, lambda: _run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    logging.basicConfig(level=logging.WARNING, format=f"{PROGRAM}: %(levelname)s: %(message)s")
    logging.getLogger("exporters").setLevel(logging.INFO)
    words = sys.argv[1:] if arguments is None else list(arguments)
    if words[:1] == ["alerts"]:
        return list_alerts(words[1:])
    given = parser().parse_args(words)
    try:
        chosen = options(given)
        return _checked(chosen) if chosen.check_config else _once(chosen) if chosen.once else _serve(chosen, given)
    except ConfigError as error:
        raise Failures(error.lines) from error
    except OutOfSight as error:
        raise Failure(str(error), "is the cgroup file system mounted, and visible from here?") from error


def _checked(chosen: Options) -> int:
    """Say that the configuration is in order: reading it has found nothing wrong."""
    WebConfigFile(chosen.web_config)
    print(f"{chosen.config or 'the command line'}: in order")
    return 0


def _once(chosen: Options) -> int:
    with Exporter(chosen.settings) as exporter:
        for chunk in encode(exporter.scraper.scrape(), "text"):
            sys.stdout.buffer.write(chunk)
    return 0


def _serve(chosen: Options, given: argparse.Namespace) -> int:
    # aiohttp takes 0.3 s and 15 MiB to import: not for --once.
    from exporters.serving import serve  # noqa: PLC0415

    raise_descriptor_limit()  # as long as we may
    remarks = give_up(split_address(address)[1] for address in chosen.listen)
    asyncio.run(serve(chosen, lambda: options(given), remarks))
    return 0
