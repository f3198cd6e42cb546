"""`make stack`, and every query of every dashboard and rule asked of its Prometheus, which scrapes busy containers."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cgroup_model.mounts import discover_mounts
from dashboards.__main__ import FOLDER
from dashboards.boards import BOARDS
from scripts.debian_tools import Tool
from scripts.load import WORKS

pytestmark = pytest.mark.skipif(bool(os.environ.get("CGSCOPE_WORLD")), reason="Prometheus runs beside the native suite")

ROOT = Path(FOLDER).parents[1]
PATIENCE_SECONDS = 180
EMPTY = {
    (board.uid, panel.title, "ABCDEFGH"[index]): panel.may_be_empty or ("no such limit is set" if query.limit else "")
    for board in BOARDS
    for row in board.rows
    for panel in row.panels
    for index, query in enumerate(panel.queries)
}
"""Dashboard, panel and query -> why it may rightly be empty; "" when it may not."""


def fetch(url: str) -> bytes:
    """Ask for a page."""
    with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310 - our own
        body: bytes = answer.read()
        return body


class Database:
    """A Prometheus, asked over its API."""

    def __init__(self, url: str, chosen: str) -> None:
        self.url = url
        self._variables = {
            "$__rate_interval": "15s",
            "$__range": "5m",
            "$job": ".+",
            "$instance": ".+",
            "$id": chosen,
            **dict.fromkeys(("$engine", "$name", "$namespace", "$pod"), ".*"),
        }

    def ask(self, path: str, **parameters: str) -> Any:  # noqa: ANN401
        """Ask for data; anything but success fails the test."""
        query = urllib.parse.urlencode({name.replace("match", "match[]"): text for name, text in parameters.items()})
        try:
            found = json.loads(fetch(f"{self.url}/api/v1/{path}?{query}"))
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{parameters}: {error.read().decode()}") from error
        assert found["status"] == "success", parameters
        return found["data"]

    def values(self, expression: str) -> list[Any]:
        """Give the series of an expression now, as Grafana would ask for it."""
        for name, text in self._variables.items():
            expression = re.sub(rf"{re.escape(name)}\b", lambda _, text=text: text, expression)  # type: ignore[misc]
        found = self.ask("query", query=expression)
        return list(found["result"])

    def wait_for(self, expression: str) -> None:
        """Wait until an expression has a value."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self.values(expression):
            assert time.monotonic() < deadline, f"nothing: {expression}"
            time.sleep(0.2)


class Stack:
    """`make stack`, running."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "scripts.stack", "--interval", "2"]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        said = []
        for line in self.process.stdout:
            said.append(line)
            if line.startswith("Ctrl-C"):
                break
        self.said = "".join(said)
        if self.process.poll() is not None:
            raise AssertionError(self.process.communicate()[1])
        self.exporter, self.prometheus, self.alertmanager = re.findall(r"(http://[\d.:]+)/", self.said)
        self.top = re.findall(r"below (/\S+);", self.said)[0]

    def end(self) -> str:
        """Press Ctrl-C; gives what it said on standard error."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.process.communicate(timeout=PATIENCE_SECONDS)[1]


@pytest.fixture(scope="module")
def stack(tool: Callable[[str], Tool]) -> Iterator[Stack]:
    """Run the stack."""
    if os.geteuid() != 0:
        pytest.skip("making cgroups takes root")
    for name in ("prometheus", "prometheus-alertmanager"):
        tool(name)
    made = Stack()
    try:
        yield made
    finally:
        made.end()


@pytest.fixture(scope="module")
def database(stack: Stack) -> Database:
    """Wait until the stack's Prometheus has rates of everything that its containers do."""
    web, leak = (next(work for work in WORKS if work.name == name).path(stack.top) for name in ("web", "leak"))
    made = Database(stack.prometheus, web)
    made.wait_for(f'rate(container_cpu_cfs_throttled_periods_total{{id="{web}"}}[15s]) > 0')
    made.wait_for(f'increase(container_oom_kills_total{{id="{leak}"}}[5m]) > 0')
    made.wait_for("rate(container_fs_writes_bytes_total[15s]) >= 0")
    made.wait_for("rate(procfs_fuse_requests_total[15s]) >= 0")
    return made


def boards() -> dict[str, Any]:
    """Read the committed dashboards."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))}


@pytest.mark.parametrize("board", boards().values(), ids=boards())
def test_panels_show_something(database: Database, board: dict[str, Any]) -> None:
    """Every expression succeeds and has values; those of a panel that may be empty, at least succeed."""
    targets = [(panel["title"], target) for panel in board["panels"] for target in panel.get("targets", ())]
    assert targets
    found = {(board["uid"], title, one["refId"]): (one["expr"], database.values(one["expr"])) for title, one in targets}
    assert [(place, expr) for place, (expr, values) in found.items() if not values and not EMPTY[place]] == []


@pytest.mark.parametrize("board", boards().values(), ids=boards())
def test_variables_can_be_chosen(database: Database, board: dict[str, Any]) -> None:
    """Every variable that is a query has values to choose from."""
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            found = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
            assert found is not None
            selector = re.sub(r"\$\w+", ".*", found[1])
            assert database.ask(f"label/{found[2]}/values", match=selector), variable["name"]


def test_rules_can_be_asked(database: Database) -> None:
    """Every expression of the rule files succeeds; what has no value now has nothing to say now."""
    files = sorted((Path(FOLDER).parent / "prometheus").glob("*.yml"))
    assert files
    rules = [rule for path in files for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]
    found = {rule["record"]: database.values(rule["expr"]) for rule in rules if "record" in rule}
    assert found["cgscope:container_threads_near_limit"]
    for rule in rules:
        if "alert" in rule:
            database.values(rule["expr"])


def test_an_alert_reaches_alertmanager(stack: Stack) -> None:
    """A container at its limit of threads: what Prometheus makes of the rules arrives where people are told from."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        found = [one["labels"] for one in json.loads(fetch(f"{stack.alertmanager}/api/v2/alerts"))]
        if any(one["alertname"] == "ContainerThreadsNearLimit" and one["name"] == "workers" for one in found):
            return
        assert time.monotonic() < deadline, found
        time.sleep(0.2)


@pytest.mark.parametrize("name", ["prometheus", "hosts", "federation", "remote-write"])
def test_example_configurations(tool: Callable[[str], Tool], name: str) -> None:
    """Prometheus accepts the examples of deploy/prometheus (Debian's is built without Kubernetes)."""
    promtool = tool("promtool")
    command = [promtool.path, "check", "config", "--syntax-only", f"{ROOT}/deploy/prometheus/{name}.yml"]
    result = subprocess.run(command, env=promtool.env, capture_output=True, check=False)
    assert result.returncode == 0, result.stderr.decode()


def test_the_kubernetes_example(tool: Callable[[str], Tool], tmp_path: Path) -> None:
    """Everything in it but the discovery itself, which Debian's Prometheus is built without, is accepted."""
    promtool = tool("promtool")
    config = yaml.safe_load((ROOT / "deploy/prometheus/kubernetes.yml").read_text())
    assert config["scrape_configs"][0].pop("kubernetes_sd_configs") == [{"role": "pod"}]
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
    command = [promtool.path, "check", "config", "--syntax-only", str(tmp_path / "prometheus.yml")]
    result = subprocess.run(command, env=promtool.env, capture_output=True, check=False)
    assert result.returncode == 0, result.stderr.decode()


def test_ctrl_c_ends_all_of_it(stack: Stack) -> None:
    """Nothing answers any more, no cgroup and no file is left; the exit code is 0."""
    assert stack.end() == ""
    assert stack.process.returncode == 0
    for address in (stack.exporter, stack.prometheus, stack.alertmanager):
        with pytest.raises(urllib.error.URLError):
            fetch(address)
    hierarchies = [one.mountpoint for one in discover_mounts().hierarchies]
    assert not [one for one in hierarchies if os.path.exists(f"{one}{stack.top}")]
