"""Batch output: the same rows as text, JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from ctop.arrange import View
from ctop.batch import Batch, Format, csv_heading, csv_rows, json_line, sample, samples, table_lines
from ctop.cli import main
from ctop.columns import COLUMNS, DEFAULT, chosen
from ctop.renderables.table import as_text
from tests.ctop.scenes import Still, containers, entry, scene


def batch(style: Format = "table", **more: Any) -> Batch:  # noqa: ANN401 - whatever the record takes
    """Return a batch of all columns (default columns for text)."""
    columns = chosen(DEFAULT) if style == "table" else tuple(COLUMNS.values())
    given: dict[str, Any] = {"view": View(), "delay": 1.0, "count": 1, **more}
    return Batch(style, columns, **given)


def test_json_has_every_field_of_every_row() -> None:
    """Field names are those of the columns; unknown is null, unlimited "max", zero 0."""
    found = sample(Still(scene()), batch("json"))
    document = json.loads(json_line(*found, batch("json")))
    by_name = {one["name"]: one for one in document["cgroups"]}
    assert set(by_name["web"]) == {column.field for column in COLUMNS.values()}
    assert by_name["web"]["memory_limit_bytes"] == 256 << 20
    assert by_name["web"]["cpu_core_percent"] == 75.0
    assert by_name["web"]["cpu_host_percent"] == 18.75
    assert by_name["web"]["cpu_limit_percent"] == 50.0
    assert by_name["ssh.service"]["memory_limit_bytes"] == "max"
    assert by_name["ssh.service"]["cpu_core_percent"] == 0.0
    assert by_name["web"]["pod"] is None
    assert document["machine"]["cpu_percent"] == 25.0
    assert document["time"] == "2026-01-01T12:00:00.000Z"


def test_csv_has_the_same() -> None:
    """One heading, a row per cgroup, unknown empty."""
    found = sample(Still(scene()), batch("csv"))
    text = csv_heading(batch("csv")) + csv_rows(*found, batch("csv"))
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["name"] for row in rows] == ["web", "database", "ssh.service"]
    assert rows[0]["memory_bytes"] == str(200 << 20)
    assert rows[2]["memory_limit_bytes"] == "max"
    assert rows[0]["pod"] == ""


def test_hostile_names_stay_in_their_line() -> None:
    """A name with line breaks and escapes makes one row of each format."""
    hostile = scene([entry("/a\n\x1b[2J\udcff,b")])
    found = sample(Still(hostile), batch("json"))
    assert json_line(*found, batch("json")).count("\n") == 0
    assert len(list(csv.reader(io.StringIO(csv_rows(*found, batch("csv")))))) == 1
    lines = [as_text(line) for line in table_lines(*found, batch(), None)]
    assert all(line.isprintable() for line in lines)
    assert len(lines) == 4


def test_count_and_pauses() -> None:
    """Samples are ``delay`` apart, and nothing is waited for after the last."""
    pauses: list[float] = []
    assert len(list(samples(Still(scene()), batch(count=3, delay=2.0), pauses.append))) == 3
    assert pauses == [2.0, 2.0]


def test_once_looks_twice() -> None:
    """So that the one table has rates."""
    pauses: list[float] = []
    still = Still(scene())
    assert len(list(samples(still, batch(warm_up=True), pauses.append))) == 1
    assert len(still.surveys) == 2
    assert pauses == [1.0]


def test_only_printed_rows_are_looked_at() -> None:
    """Costly files of what nobody sees are not read; a cheap sort column asks for one number of each cgroup."""
    still = Still(scene())
    sample(still, batch())
    ((parts, needs),) = still.surveys
    assert parts == {"cpu", "names"}
    assert not needs
    ((paths, _needs),) = still.looks
    assert len(paths) == 3 < len(containers())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--columns", "cpuu"], "did you mean"),
        (["--sort", "nothing"], "there is no column 'nothing'"),
        (["--filter", "~(", "--once"], "not a regular expression"),
        (["-d", "0"], "too short"),
        (["-n", "0"], "1 is the least"),
        (["--json", "--csv"], "not allowed with"),
    ],
)
def test_wrong_usage_is_one_line(arguments: list[str], message: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, what is wrong, no traceback."""
    assert main(arguments) == 2
    error = capfd.readouterr().err
    assert message in error
    assert error.count("\n") == 1
