"""What the benchmark makes of figures: ratios, verdicts, slopes, tables, plots and pages. Nothing is timed here."""

from __future__ import annotations

import os
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks import pages, plots, tables
from benchmarks.bars import Bar, bars, judge
from benchmarks.compare import of_files
from benchmarks.kit import in_turn
from benchmarks.machine import ROOT
from benchmarks.results import Results, merged, ratio
from benchmarks.slopes import slope
from benchmarks.touched import files_read

MACHINE = {
    "when": "2026-01-02 03:04", "cpu": "a CPU", "cpus": 2, "memory_kib": 4 << 20, "hypervisor": True, "kernel": "6.1",
    "cgroups": "v2", "python": "3.11", "load_before": 0.1, "load_after": 1.0, "rounds": 3, "quick": False,
    "peers": {"lxcfs": "5.0"}, "libraries": {"psutil": "7.2"},
}  # fmt: skip


@pytest.fixture
def results() -> Results:
    """A small run."""
    made = Results(dict(MACHINE), missing=["something <else>"])
    for ours, theirs in ((100.0, 200.0), (300.0, 500.0), (120.0, 150.0)):
        made.add("stat hot", "open", {"p50_usec": ours, "server_cpu_usec": ours})
        made.add("stat hot", "lxcfs", {"p50_usec": theirs, "server_cpu_usec": theirs})
        made.add("stat hot", "floor", {"p50_usec": 20.0})
    for size in (10, 100, 1000):
        made.add("scrape", "ours", {"cpu_msec": size / 10}, size=size, of="cgroups")
    return made


def test_a_run_survives_its_file(results: Results) -> None:
    """What was written is read again, number for number."""
    assert Results.from_json(results.to_json()) == results


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 99}', '{"format": 1, "machine": {}, "rows": [{}]}'])
def test_a_file_that_holds_no_results_is_refused(text: str) -> None:
    """Anything else is a ValueError, never a KeyError from deep inside."""
    with pytest.raises(ValueError, match=r"not a file of results|format 99|Expecting value"):
        Results.from_json(text)


def test_ratios_are_taken_round_by_round(results: Results) -> None:
    """A slow round slows both; CPU time is too coarse for that and is summed."""
    ours, theirs = (results.find("stat hot", who, "p50_usec") for who in ("open", "lxcfs"))
    assert ours is not None
    assert theirs is not None
    assert ratio(ours, theirs) == pytest.approx(0.6)  # of 0.5, 0.6 and 0.8
    ours, theirs = (results.find("stat hot", who, "server_cpu_usec") for who in ("open", "lxcfs"))
    assert ours is not None
    assert theirs is not None
    assert ratio(ours, theirs) == pytest.approx(520 / 850)


def test_nothing_is_no_multiple_of_nothing(results: Results) -> None:
    """A peer that used no time gives no ratio."""
    results.add("idle", "ours", {"cpu_msec": 1.0})
    results.add("idle", "theirs", {"cpu_msec": 0.0})
    ours, theirs = (results.find("idle", who, "cpu_msec") for who in ("ours", "theirs"))
    assert ours is not None
    assert theirs is not None
    assert ratio(ours, theirs) is None


@pytest.mark.parametrize(
    ("bar", "word"),
    [
        (Bar("stat hot", "p50_usec", "open", 0.6, "lxcfs"), "holds"),
        (Bar("stat hot", "p50_usec", "open", 0.59, "lxcfs"), "FAILS"),
        (Bar("stat hot", "p50_usec", "open", 0.6, "somebody"), "not measured"),
        (Bar("scrape", "cpu_msec", "ours", 100, size=1000), "holds"),
        (Bar("scrape", "cpu_msec", "ours", 99, size=1000), "FAILS"),
        (Bar("scrape", "cpu_msec", "ours", 100), "not measured"),
    ],
)
def test_verdicts(results: Results, bar: Bar, word: str) -> None:
    """A bar that is reached holds, one that is passed fails, and what was not measured is told as that."""
    assert judge(bar, results).word == word


def test_every_bar_is_about_a_figure_that_is_measured() -> None:
    """A misspelt case would never fail: each bar is judged in the committed results, or something is missing there."""
    committed = Results.read(ROOT / pages.RESULTS)
    unknown = [bar.what for bar in bars() if judge(bar, committed).measured is None]
    assert not unknown or committed.missing, unknown


def test_slopes() -> None:
    """In proportion is power 1, constant is power 0, and one size tells nothing."""
    found = slope([(10, 20), (100, 200), (1000, 2000)])
    assert found is not None
    assert found.each == pytest.approx(2)
    assert found.power == pytest.approx(1)
    found = slope([(10, 5), (1000, 5)])
    assert found is not None
    assert found.power == pytest.approx(0)
    assert slope([(10, 5)]) is None
    found = slope([(1, 0), (2, 1)])
    assert found is not None
    assert found.power is None


def test_candidates_take_turns() -> None:
    """Each once a round, and nobody is always first."""
    assert list(in_turn("abc", 3)) == list("abccbaabc")


def test_the_floor_reads_what_a_second_look_reads(tmp_path: Path) -> None:
    """What only the first look reads is not part of it, nor are pipes; both ways of reading are."""
    for name in ("once", "again", "anew"):
        (tmp_path / name).write_text("1")
    kept, (reading, writing) = os.open(tmp_path / "again", os.O_RDONLY), os.pipe()
    looks: list[int] = []

    def look() -> None:
        if not looks:
            (tmp_path / "once").read_text()
        looks.append(os.write(writing, b"1"))
        os.read(reading, 1)
        os.pread(kept, 1, 0)
        opened = os.open(tmp_path / "anew", os.O_RDONLY)
        os.read(opened, 1)
        os.close(opened)

    try:
        assert sorted(files_read(look)) == [str(tmp_path / "again"), str(tmp_path / "anew")]
        assert len(looks) == 2
    finally:
        for fd in (kept, reading, writing):
            os.close(fd)


def test_tables_have_every_row(results: Results) -> None:
    """All candidates, with the distance from the floor."""
    head, rows = tables.cases(results)
    assert len(rows) == len(results.rows)
    assert {len(row) for row in rows} == {len(head)}
    assert ["stat hot", "open", "p50, us", "120", "100 to 300", "6"] in [list(row) for row in rows]
    assert len(tables.text((head, rows)).splitlines()) == len(rows) + 1
    assert [row[5] for row in tables.slopes(results)[1]] == ["1"]


def test_pictures_are_well_formed(results: Results) -> None:
    """Each is XML and shows its candidates, whatever they are called."""
    results.add("<&>", '"who"', {"p50_usec": 0.0})
    found = dict(plots.pictures(results))
    assert set(found) == {"p50_usec", "scrape cpu_msec"}
    for picture in found.values():
        ET.fromstring(picture)  # noqa: S314 - our own
    assert "&lt;&amp;&gt;" in found["p50_usec"]


def test_pages_are_written_between_their_marks(results: Results, tmp_path: Path) -> None:
    """The rest of a page stays, writing twice changes nothing, and old pictures go."""
    (tmp_path / "docs/benchmarks").mkdir(parents=True)
    (tmp_path / "docs/benchmarks/old.svg").touch()
    for name in pages.PAGES:
        (tmp_path / name).write_text("before\n<!-- bench: bars -->\nold\n<!-- /bench -->\nafter\n")
    written = pages.update(results, tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert re.fullmatch(r"before\n<!-- bench: bars -->\n\| bar .*\n<!-- /bench -->\nafter\n", text, re.DOTALL)
    assert "docs/benchmarks/old.svg" not in written
    assert not (tmp_path / "docs/benchmarks/old.svg").exists()
    assert pages.update(results, tmp_path) == written
    assert (tmp_path / "README.md").read_text() == text


@pytest.mark.parametrize("name", pages.PAGES)
def test_figures_on_pages_are_those_of_the_committed_results(name: str) -> None:
    """README and docs quote docs/benchmarks/results.json and nothing else: `make bench-docs` writes them."""
    page = (ROOT / name).read_text(encoding="utf-8")
    assert "<!-- bench: " in page
    assert pages.written(page, Results.read(ROOT / pages.RESULTS)) == page


def test_pictures_on_pages_are_those_of_the_committed_results() -> None:
    """Likewise the plots, and there are no others."""
    folder = (ROOT / pages.RESULTS).parent
    found = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.svg")}
    expected = plots.pictures(Results.read(ROOT / pages.RESULTS))
    assert found == {plots.file_name(name): picture for name, picture in expected}


def test_two_runs_are_compared(results: Results) -> None:
    """Every figure that both have, as after / before."""
    later = Results(dict(MACHINE))
    later.add("stat hot", "open", {"p50_usec": 60.0, "new_usec": 1.0})
    assert [list(row) for row in of_files(results, later)[1]] == [["stat hot", "open", "p50, us", "120", "60", "0.346"]]


def test_parts_of_a_run_are_put_together(results: Results) -> None:
    """Rows and what is missing of all, the machine of the last."""
    both = merged([results, Results({"when": "later"}, missing=["more"])])
    assert (both.machine["when"], both.missing) == ("later", ["something <else>", "more"])
    assert both.rows == results.rows
