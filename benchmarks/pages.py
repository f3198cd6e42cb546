"""Figures on pages: tables and sentences between marks in README and docs, written from the committed results.

    python -m benchmarks.pages [RESULTS.json…]    take a run in (default: the one that is there), write plots and pages

A part of a page stands between ``<!-- bench: NAME -->`` and ``<!-- /bench -->``; a test writes it again and compares.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from benchmarks import plots, tables
from benchmarks.bars import verdicts
from benchmarks.machine import ROOT
from benchmarks.results import Results, Row, merged, ratio

RESULTS: Final = "docs/benchmarks/results.json"
PAGES: Final = ("README.md", "docs/performance.md")
_MARKED: Final = re.compile(r"(<!-- bench: ([a-z-]+) -->\n).*?(<!-- /bench -->)", re.DOTALL)
_SHOWN: Final = re.compile(
    r"^(p50|p99|cpu|server_cpu|latency|first|call|pss|rss|page|background|frame|descriptors|longest|healed)_"
)

_LINES: Final = (
    ("read of `meminfo`, at once again", "meminfo hot", "p50_usec", "cached", "lxcfs", None),
    ("read of `meminfo`, 15 ms later", "meminfo paced", "p50_usec", "cached", "lxcfs", None),
    ("CPU time of the server for that", "meminfo paced", "server_cpu_usec", "cached", "lxcfs", None),
    ("read of `stat`", "stat hot", "p50_usec", "open", "lxcfs", None),
    ("read of `cpuinfo`", "cpuinfo hot", "p50_usec", "open", "lxcfs", None),
    ("read of `uptime`", "uptime hot", "p50_usec", "open", "lxcfs", None),
    ("read of `loadavg`", "loadavg hot", "p50_usec", "open", "lxcfs", None),
    (
        "1,000 cgroups, scraped every 15 s: CPU in 15 s",
        "scraped every 15 s, in all",
        "cpu_msec",
        "ours",
        "netdata",
        1000,
    ),
    ("encoding the page of 1,000 cgroups, CPU", "encode alone", "cpu_msec", "ours", "prometheus-client", 1000),
    ("`ctop`, 1,000 cgroups, CPU per refresh", "list, a look a second", "cpu_msec", "ctop", "systemd-cgtop", 1000),
)
"""What README tells: text, case, figure, ours, theirs, size."""


def written(page: str, results: Results) -> str:
    """Return a page with all its marked parts as these results have them. Raises KeyError for an unknown part."""
    return _MARKED.sub(lambda found: f"{found[1]}{PARTS[found[2]](results)}{found[3]}", page)


def update(results: Results, root: Path = ROOT) -> list[str]:
    """Write results, plots and pages; returns what was written."""
    (root / RESULTS).parent.mkdir(parents=True, exist_ok=True)
    (root / RESULTS).write_text(results.to_json(), encoding="utf-8")
    pictures = plots.write(results, (root / RESULTS).parent)
    for name in PAGES:
        page = (root / name).read_text(encoding="utf-8")
        (root / name).write_text(written(page, results), encoding="utf-8")
    return [RESULTS, *PAGES, *(f"docs/benchmarks/{name}" for name in pictures)]


def _machine(results: Results) -> str:
    one = results.machine
    beside = ", ".join(f"{name} {version}" for name, version in (one["peers"] | one["libraries"]).items())
    return (
        f"Measured {one['when']}: {one['cpus']} CPUs ({one['cpu']}{', virtual' if one['hypervisor'] else ''}), "
        f"{one['memory_kib'] / (1 << 20):.0f} GiB, Linux {one['kernel']}, cgroups {one['cgroups']}, "
        f"Python {one['python']}, load {one['load_before']:.1f} before and {one['load_after']:.1f} after, "
        f"{one['rounds']} rounds{', quick' if one['quick'] else ''}; {beside}.\n"
    )


def _cases(results: Results) -> str:
    head, rows = tables.cases(
        Results(results.machine, [row for row in results.rows if _SHOWN.match(row.figure)], results.missing)
    )
    return tables.markdown((head, rows))


def _summary(results: Results) -> str:
    rows = []
    for words, case, figure, us, them, size in _LINES:
        ours, theirs = (results.find(case, who, figure, size) for who in (us, them))
        if ours is not None and theirs is not None:
            rows.append([words, them, _with_unit(theirs), _with_unit(ours), tables.number(ratio(ours, theirs))])
    return tables.markdown((("What", "Beside", "Theirs", "Ours", "Ratio"), rows))


def _with_unit(row: Row) -> str:
    return f"{tables.number(row.median)} {tables.title(row.figure).rpartition(' ')[2]}"


def _missing(results: Results) -> str:
    return "".join(f"* not measured: {one}\n" for one in results.missing) or "Everything was measured.\n"


def _plots(results: Results) -> str:
    return "".join(f"![{name}](benchmarks/{plots.file_name(name)})\n\n" for name, _ in plots.pictures(results))


PARTS: Final[Mapping[str, Callable[[Results], str]]] = {
    "machine": _machine,
    "summary": _summary,
    "cases": _cases,
    "slopes": lambda results: tables.markdown(tables.slopes(results)),
    "bars": lambda results: tables.markdown(tables.judged(verdicts(results))),
    "missing": _missing,
    "plots": _plots,
}
"""Name of a marked part -> its text."""


def main() -> int:
    """Take a run in."""
    try:
        results = merged([Results.read(path) for path in sys.argv[1:] or [str(ROOT / RESULTS)]])
        names = update(results)
    except (OSError, ValueError, KeyError) as error:
        print(f"pages: {error}", file=sys.stderr)
        return 1
    print("\n".join(names))
    return 0


if __name__ == "__main__":
    sys.exit(main())
