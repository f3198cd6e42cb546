"""Committed dashboards: made from what is here, and as Grafana's dashboard linter wants them.

Source: github.com/grafana/dashboard-linter. Its rules are written anew
here, since it comes in no package that we could fetch.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dashboards.__main__ import FOLDER
from dashboards.boards import BOARDS
from dashboards.builder import RUNBOOKS, to_json
from dashboards.queries import METRICS, UnknownMetric, with_variables
from exporters.alerts.rulefile import shipped_rules

FILES = sorted(FOLDER.glob("*.json"))
DASHBOARDS: dict[str, dict[str, Any]] = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in FILES}
each = pytest.mark.parametrize("board", DASHBOARDS.values(), ids=DASHBOARDS)


def panels(board: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the panels that show something."""
    for panel in board["panels"]:
        if panel["type"] != "row":
            yield panel
        yield from panel.get("panels", ())


def expressions(board: dict[str, Any]) -> Iterator[str]:
    """Yield the expression of each target."""
    for panel in panels(board):
        for target in panel["targets"]:
            yield target["expr"]


def test_committed_files_are_what_is_made() -> None:
    """The JSON files are those that `make dashboards` writes, no more and no less."""
    made = {board.uid: to_json(board) for board in BOARDS}
    assert {path.stem: path.read_text(encoding="utf-8") for path in FILES} == made


def test_what_the_exporter_has_not_is_refused() -> None:
    """A metric that the catalogue has not cannot get into a dashboard."""
    with pytest.raises(UnknownMetric):
        with_variables("rate(container_cpu_usage_seconds[5m])", "machine")


@each
def test_metrics_are_in_the_catalogue(board: dict[str, Any]) -> None:
    """No name in the committed JSON is one that the exporter has not."""
    named = {name for text in expressions(board) for name in re.findall(r"([a-zA-Z_:][\w:]*)\{", text)}
    assert named
    assert named <= METRICS.keys()


@each
def test_variables(board: dict[str, Any]) -> None:
    """A Prometheus data source to be chosen; job and instance as queries of it, several at a time, all by ``.+``."""
    variables = {one["name"]: one for one in board["templating"]["list"]}
    source = variables["datasource"]
    assert (source["type"], source["query"], source["label"]) == ("datasource", "prometheus", "Data source")
    for name, label in (("job", "Job"), ("instance", "Instance")):
        one = variables[name]
        assert (one["type"], one["label"], one["multi"], one["includeAll"], one["allValue"]) == (
            "query", label, True, True, ".+")  # fmt: skip
        assert one["datasource"]["uid"] == "${datasource}"
        assert one["query"]["query"].startswith("label_values(")


@each
def test_panels(board: dict[str, Any]) -> None:
    """Every panel has a title, a description, a unit, and the data source that was chosen; ids are different."""
    ids = [panel["id"] for panel in board["panels"] if "id" in panel]
    assert len(set(ids)) == len(ids)
    for panel in panels(board):
        assert panel["title"], panel
        assert len(panel["description"]) > 15, panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        for place in (panel, *panel["targets"]):
            assert place["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, panel["title"]


@each
def test_a_dashboard_is_not_editable(board: dict[str, Any]) -> None:
    """It is made by a program: changes would be lost. Its uid is that of its file; it links to the others."""
    assert board["editable"] is False
    assert board["links"][0]["tags"] == board["tags"] == ["cgscope"]
    assert board["title"]
    assert board["description"]


@each
def test_selectors_ask_for_job_and_instance(board: dict[str, Any]) -> None:
    """Every selector has both, as regular expressions."""
    for text in expressions(board):
        selectors = re.findall(r"[a-z_]+\{([^}]*)\}", text)
        assert selectors, text
        for matchers in selectors:
            assert matchers.startswith('job=~"$job",instance=~"$instance"'), text


@each
def test_rates(board: dict[str, Any]) -> None:
    """Counters are only seen as rates or increases, over Grafana's own interval or the whole time shown."""
    for text in expressions(board):
        for name, window in re.findall(r"([a-z_]+_total)\{[^}]*\}(\[[^]]*\])?", text):
            assert window in ("[$__rate_interval]", "[$__range]"), f"{name}: {text}"
        for function, name in re.findall(r"\b(rate|irate|increase)\(([a-z_]+)\{", text):
            assert METRICS[name].type in ("counter", "untyped"), f"{function}({name})"


@each
def test_links_to_runbooks(board: dict[str, Any]) -> None:
    """A runbook that a panel names is that of an alert that there is; with an address it is a link."""
    texts = " ".join(panel["description"] for panel in panels(board))
    named = set(re.findall(rf"Runbook: {RUNBOOKS}(\w+)\.md", texts))
    assert named <= shipped_rules().keys()
    source = next(one for one in BOARDS if one.uid == board["uid"])
    elsewhere = json.loads(to_json(source, "https://wiki.example/"))
    linked = {link["url"] for panel in panels(elsewhere) for link in panel.get("links") or ()}
    assert linked == {f"https://wiki.example/{name}.md" for name in named}


def test_provisioning_files() -> None:
    """They are YAML of the version that Grafana reads, with what it has to have."""
    folder = Path(FOLDER).parent / "provisioning"
    source = yaml.safe_load((folder / "datasources/prometheus.yml").read_text())["datasources"][0]
    assert source["type"] == "prometheus"
    provider = yaml.safe_load((folder / "dashboards/cgscope.yml").read_text())["providers"][0]
    assert provider["type"] == "file"
    assert os.path.isabs(provider["options"]["path"])
