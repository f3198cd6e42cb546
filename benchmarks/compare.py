"""Compare two revisions: two files of results, or this tree with an older one, both run now, in turn.

    python -m benchmarks.compare BEFORE.json AFTER.json
    python -m benchmarks.compare --base REVISION [--rounds N]     reads of the virtual files only

Prints the ratio after / before of each case; below 1 is better.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from typing import Final

from benchmarks.container import container
from benchmarks.kit import QUICK_ROUNDS, ROUNDS, Kit, in_turn
from benchmarks.machine import ROOT
from benchmarks.programs import build
from benchmarks.reads import OPEN_FILES, Case, bind, one_round
from benchmarks.results import Results, Row, ratio
from benchmarks.servers import ours
from benchmarks.tables import Table, number, text, title

HEAD: Final = ("case", "candidate", "figure", "before", "after", "ratio")


def main() -> int:
    """Compare what was given."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.add_argument("files", nargs="*", metavar="RESULTS.json")
    parser.add_argument("--base", metavar="REVISION", help="run this one and the present tree in turn")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help=f"default {ROUNDS}")
    options = parser.parse_args()
    if options.base is None and len(options.files) == 2:
        try:
            table = of_files(*(Results.read(path) for path in options.files))
        except (OSError, ValueError) as error:
            print(f"compare: {error}", file=sys.stderr)
            return 1
    elif options.base is not None and not options.files:
        table = of_revisions(options.base, options.rounds)
    else:
        parser.error("two files of results, or --base REVISION")
    print(text(table), end="")
    return 0


def of_files(before: Results, after: Results) -> Table:
    """Every figure that both have. Not of one run: what the machine did meanwhile is in the ratios."""
    pairs = [(before.find(row.case, row.candidate, row.figure, row.size), row) for row in after.rows]
    return HEAD, [_line(then, now, now.candidate) for then, now in pairs if then is not None]


def of_revisions(base: str, rounds: int) -> Table:
    """Every figure of reads, interleaved."""
    results = Results()
    with tempfile.TemporaryDirectory(prefix="cgscope-bench-") as folder, _tree(base, folder) as code:
        os.chmod(folder, 0o755)  # noqa: S103 - the container's programs read below it
        kit = Kit(folder, build(folder), results, rounds <= QUICK_ROUNDS, rounds)
        with (
            ours(folder, name="before", code=code) as old,
            ours(folder, name="after", code=str(ROOT)) as new,
            container("b") as inside,
        ):
            listed = []
            for server in (old, new):
                inside.run("mkdir", f"/mnt/{server.name}")
                bind(inside, server, f"/mnt/{server.name}")
                there = f"/mnt/{server.name}"
                listed += [Case("meminfo hot, cached", server.name, f"{there}/cached", server=server)]
                listed += [Case("meminfo paced, cached", server.name, f"{there}/cached", paced=True, server=server)]
                listed += [Case(f"{name} hot", server.name, f"{there}/{name}", server=server) for name in OPEN_FILES]
            for case in in_turn(sorted(listed, key=lambda case: case.name), rounds):
                results.add(case.name, case.candidate, one_round(kit, inside, case))
    rows = [(row, results.find(row.case, "after", row.figure)) for row in results.rows if row.candidate == "before"]
    return HEAD, [_line(then, now, "ours") for then, now in rows if now is not None]


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
