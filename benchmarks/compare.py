"""Compare two revisions: two files of results, or this tree with an older one, both run now, in turn.

    python -m benchmarks.compare BEFORE.json AFTER.json
    python -m benchmarks.compare --base REVISION [--rounds N]     reads, scrapes, lists, sizes

Prints the ratio after / before of each case; below 1 is better.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks import terminal
from benchmarks.container import container
from benchmarks.crowd import crowd, tell_docker
from benchmarks.kit import Kit, end_in_order, in_turn
from benchmarks.machine import ROOT
from benchmarks.programs import build
from benchmarks.reads import OPEN_FILES, Case, bind, one_round
from benchmarks.results import Results, Row, ratio
from benchmarks.scrapes import exporter, fetch, scrape
from benchmarks.servers import Server, ours
from benchmarks.sizes import MEMORY, polled
from benchmarks.tables import Table, number, text, title
from scripts.bytecode import compile_packages

Trees = Mapping[str, str]
"""Candidate -> folder with the files of its revision."""

POLLING: Final = 100
SCRAPED: Final = 1000
SCRAPES: Final = 6
ROUNDS: Final = 5
SLOW_ROUNDS: Final = 3
HEAD: Final = ("case", "candidate", "figure", "before", "after", "ratio")


def main() -> int:
    """Compare what was given."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.add_argument("files", nargs="*", metavar="RESULTS.json")
    parser.add_argument("--base", metavar="REVISION", help="run this one and the present tree in turn")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help=f"default {ROUNDS}")
    options = parser.parse_args()
    if (options.base is None) != (len(options.files) == 2) or len(options.files) not in (0, 2):
        parser.error("two files of results, or --base REVISION")
    end_in_order()
    try:
        if options.base is None:
            table = of_files(*(Results.read(path) for path in options.files))
        else:
            table = of_revisions(options.base, options.rounds)
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        print(f"compare: {error}", file=sys.stderr)
        return 1
    print(text(table), end="")
    return 0


def of_files(before: Results, after: Results) -> Table:
    """Every figure that both have. Not of one run: what the machine did meanwhile is in the ratios."""
    pairs = [(before.find(row.case, row.candidate, row.figure, row.size), row) for row in after.rows]
    return HEAD, [_line(then, now, now.candidate) for then, now in pairs if then is not None]


def of_revisions(base: str, rounds: int) -> Table:
    """Every figure of reads, scrapes, lists and sizes, interleaved."""
    results = Results()
    with tempfile.TemporaryDirectory(prefix="cgscope-bench-") as folder, _tree(base, folder) as code:
        os.chmod(folder, 0o755)  # noqa: S103 - the container's programs read below it
        kit = Kit(folder, build(folder), results, quick=True, rounds=rounds)
        trees = {"before": code, "after": str(ROOT)}
        for tree in trees.values():
            compile_packages(Path(tree))
        for part in (_reads, _sizes, _scrapes, _lists):
            began = time.monotonic()
            part(kit, trees)
            print(f"{part.__name__.strip('_')}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    rows = [
        (row, results.find(row.case, "after", row.figure, row.size))
        for row in results.rows
        if row.candidate == "before"
    ]
    return HEAD, [_line(then, now, "ours") for then, now in rows if now is not None]


def _reads(kit: Kit, trees: Trees) -> None:
    with _servers(kit, trees, "reads") as servers, container("b") as inside:
        listed = []
        for name, server in servers.items():
            there = f"/mnt/{name}"
            inside.run("mkdir", there)
            bind(inside, server, there)
            listed += [Case("meminfo hot, cached", name, f"{there}/cached", server=server)]
            listed += [Case("meminfo paced, cached", name, f"{there}/cached", paced=True, server=server)]
            listed += [Case(f"{file} hot", name, f"{there}/{file}", server=server) for file in OPEN_FILES]
        for case in in_turn(sorted(listed, key=lambda case: case.name), kit.rounds):
            kit.results.add(case.name, case.candidate, one_round(kit, inside, case))


def _sizes(kit: Kit, trees: Trees) -> None:
    with _servers(kit, trees, "many") as servers, crowd() as containers:
        containers.grow_to(POLLING)
        for name in in_turn(servers, SLOW_ROUNDS):
            polled(kit, containers, name, servers[name])
        for name, server in servers.items():
            kit.results.add(MEMORY, name, server.memory(), size=POLLING, of="containers")


def _scrapes(kit: Kit, trees: Trees) -> None:
    with crowd() as containers, contextlib.ExitStack() as stack:
        containers.grow_to(SCRAPED, sleeping=True)
        tell_docker(containers.paths, kit.folder)
        servers = {name: stack.enter_context(exporter(kit, name=name, code=code)) for name, code in trees.items()}
        for _server, url in servers.values():
            fetch(url)  # the first opens files
        for name in in_turn(servers, SCRAPES):
            scrape(kit, "scrape", name, servers[name], SCRAPED)
        for name, (server, _url) in servers.items():
            kit.results.add("scraped", name, server.memory(), size=SCRAPED, of="cgroups")


def _lists(kit: Kit, trees: Trees) -> None:
    with terminal.pods() as crowd_of_pods:
        crowd_of_pods.grow_to(terminal.JUDGED)
        candidates = [terminal.ours(name, code) for name, code in trees.items()]
        for one in in_turn(candidates, SLOW_ROUNDS):
            terminal.add(kit, one, terminal.JUDGED)


@contextlib.contextmanager
def _servers(kit: Kit, trees: Trees, suffix: str) -> Iterator[dict[str, Server]]:
    with contextlib.ExitStack() as stack:
        yield {
            name: stack.enter_context(ours(kit.folder, name=f"{name}-{suffix}", code=code))
            for name, code in trees.items()
        }


def _line(before: Row, after: Row, candidate: str) -> Sequence[str]:
    figures = (number(before.median), number(after.median), number(ratio(after, before)))
    return [after.name, candidate, title(after.figure), *figures]


@contextlib.contextmanager
def _tree(revision: str, folder: str) -> Iterator[str]:
    """Check a revision out beside this tree, which stays as it is."""
    code = os.path.join(folder, "base")
    git = ["git", "-C", str(ROOT), "worktree"]
    subprocess.run([*git, "add", "--quiet", "--detach", code, revision], check=True)
    try:
        yield code
    finally:
        subprocess.run([*git, "remove", "--force", code], check=True)


if __name__ == "__main__":
    sys.exit(main())
