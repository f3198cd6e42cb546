"""Alerts of real containers, through the real exporter, Prometheus and Alertmanager, to those who want to know."""

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
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cgroup_model.mounts import discover_mounts
from cgscope.state import STATE_DIR_VARIABLE
from exporters.alerts.rulefile import shipped_rules
from scripts.debian_tools import Tool
from tests.exporters.alerts.test_sender import free_port, receiving
from tests.integration.command_line import ANY_WORLD
from tests.integration.containers import Container, mounted, running

PATIENCE_SECONDS = 240
SHIPPED = Path(__file__).resolve().parents[2] / "dashboards" / "prometheus"
NAME = f"cgscope-alerts-{os.getpid()}"

native = pytest.mark.skipif(bool(os.environ.get("CGSCOPE_WORLD")), reason="Prometheus runs beside the native suite")


def eventually(look: Callable[[], Any], what: str) -> Any:  # noqa: ANN401 - whatever is waited for
    """Wait until something is true, and give it."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            found = look()
        except (OSError, urllib.error.URLError):
            found = None
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"not in {PATIENCE_SECONDS} s: {what}")


def fetch(url: str) -> Any:  # noqa: ANN401 - JSON
    """Get JSON."""
    with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310 - our own
        return json.load(answer)


@pytest.fixture
def container(tmp_path: Path) -> Iterator[Container]:
    """Run a real container that may use 48 MiB."""
    if os.geteuid() != 0:
        pytest.skip("making containers takes root")
    if discover_mounts().for_controller("memory") is None:
        pytest.skip("no memory controller here")
    with (
        mounted(tmp_path) as instance,
        running(instance, NAME, "--memory", "48M", "--pids", "50", "--cpus", "0.5") as one,
    ):
        yield one


class Exporter:
    """A running exporter with a configuration file."""

    def __init__(self, folder: Path, config: str, *options: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.path = folder / "exporter.yml"
        self.log = folder / "exporter.log"
        self.configure(config)
        command = [sys.executable, "-m", "exporters", "--config", str(self.path), *(options or ("--oom-state", "none"))]
        environment = {**os.environ, STATE_DIR_VARIABLE: str(folder / "state")}  # that of `container`
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "--listen", f"127.0.0.1:{self.port}"], env=environment, stderr=log
            )
        eventually(lambda: "serving http" in self.log.read_text(), "the exporter serves")

    def configure(self, config: str) -> None:
        """Write the configuration; ``$ADDRESS`` in it is where the exporter listens."""
        self.path.write_text(config.replace("$ADDRESS", f"127.0.0.1:{self.port}"))

    def alerts(self, state: str = "firing") -> list[Mapping[str, Any]]:
        """List its alerts."""
        return [one for one in fetch(f"{self.url}/api/v1/alerts")["alerts"] if one["state"] == state]

    def evaluated(self) -> None:
        """Wait until a whole evaluation has begun and ended from now on."""
        before = self.evaluations()
        eventually(lambda: self.evaluations() >= before + 2, "two evaluations")

    def evaluations(self) -> int:
        """How often rules were evaluated."""
        return self.number("cgroup_exporter_alert_evaluations_total", "alerts")

    def number(self, metric: str, collector: str) -> int:
        """Read a metric without labels; 0 while it is not there."""
        url = f"{self.url}/metrics?collect[]={collector}"
        with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310 - our own
            found = re.search(rf"^{metric} (\d+)$", answer.read().decode(), re.MULTILINE)
        return int(found[1]) if found else 0

    def end(self) -> str:
        """End it; gives what it logged."""
        self.process.terminate()
        assert self.process.wait(PATIENCE_SECONDS) == 0, self.log.read_text()
        text = self.log.read_text()
        assert "Traceback" not in text, text
        return text


@contextmanager
def exporting(folder: Path, config: str) -> Iterator[Exporter]:
    """Run an exporter."""
    exporter = Exporter(folder, config)
    try:
        yield exporter
    finally:
        exporter.end()


# ------------------------------------------------------------------------- the whole way, with an OOM kill

SHORT = """
cgroups: containers
alerts:
  evaluation-interval: 1s
  labels: {job: cgroup-exporter, instance: "$ADDRESS"}
  shipped-rules: off
  rules:
    ContainerOomKilled:  # as it comes, with seconds for minutes
      value: >
        container_oom_kills_total{id!="/"} - (container_oom_kills_total offset 20s or 0 * container_oom_kills_total)
        and time() - container_oom_last_kill_time_seconds < 20
      detail: container_oom_last_victim_info
      critical: {raise: 0}
      summary: "{who}: the OOM killer ended {value} processes, the last one {detail_comm} ({detail_pid})"
"""


@native
def test_an_oom_kill_reaches_alertmanager_and_is_resolved(
    container: Container, tool: Callable[[str], Tool], tmp_path: Path
) -> None:
    """Both ways: told by Prometheus with our rules, and by the exporter itself. Name, victim, runbook; then resolved.

    Both have the same labels, so that one Alertmanager takes them for one alert.
    """
    by_prometheus, by_exporter = free_port(), free_port()
    config = f"{SHORT}  alertmanagers: [{{url: 'http://127.0.0.1:{by_exporter}', repeat: 2s}}]\n"
    with (
        alertmanager(tool, tmp_path, by_prometheus) as first,
        alertmanager(tool, tmp_path, by_exporter) as second,
        exporting(tmp_path, config) as exporter,
        prometheus(tool, tmp_path, exporter, by_prometheus, printed_rules(exporter)),
    ):
        exporter.evaluated()
        container.sh("tail /dev/zero; true")
        found = [
            eventually(lambda ask=ask: ask("ContainerOomKilled"), "the alert is in Alertmanager")  # type: ignore[misc]
            for ask in (first, second)
        ]
        for one in found:
            assert one["labels"]["name"] == NAME
            assert one["labels"]["severity"] == "critical"
            assert one["annotations"]["runbook_url"] == "docs/runbooks/ContainerOomKilled.md"
            assert re.search(
                rf"^{NAME}: the OOM killer ended 1 processes, the last one tail \(\d+\)$", one["annotations"]["summary"]
            )
        assert found[0]["labels"] == found[1]["labels"]
        assert found[0]["fingerprint"] == found[1]["fingerprint"]
        for ask in (first, second):
            eventually(lambda ask=ask: ask("ContainerOomKilled") is None, "the alert is resolved")  # type: ignore[misc]


EVERYTHING = """
collectors: {filesystem: true, sockets: true}
alerts:
  evaluation-interval: 1s
  processes:
    - {name: me, cmdline: "python.* -m exporters", max: 1000, threads: 1000, descriptors: 100000, memory: 100G}
  kernel-log: {shipped: false, patterns: [{name: marker, regex: "oom-kill:constraint.*cgscope-alerts"}]}
  webhooks: [{url: "http://127.0.0.1:1/", first-wait: 100ms, longest-wait: 500ms}]
  rules: {KeyProcessMissing: {critical: {for: 0s}}}
"""
EMPTY = {
    "ContainerDiskNearFull": "no container here has a writable layer of its own",
    "ContainerInodesNearFull": "no container here has a writable layer of its own",
    "ContainerConntrackNearMaximum": "no connection is tracked here",
    "MachineConntrackNearMaximum": "no connection is tracked here",
    "ContainerEmpty": "no container here is empty for certain",
    "ContainerOomKilled": "depends on who was killed on this machine lately",
    "MachineOomKilled": "looks ten minutes back",
    "MachineOomUnattributed": "looks ten minutes back",
    "ContainerMemoryDirty": "v1 tells no writeback without its own cgroup",
    "ContainerKernelMemoryGrowing": "v1 tells no slab",
    "ContainerDyingCgroups": "v1 tells none",
    "MachineDyingCgroups": "v1 tells none",
    "ContainerMemoryPressure": "v1 tells no pressure",
    "ContainerCpuPressure": "v1 tells no pressure",
    "ContainerIoPressure": "v1 tells no pressure",
    "MachineInodesNearFull": "some file systems count no inodes",
    "ExporterCollectorFailed": "none fails",
    "ExporterDown": "it is up",
    "ExporterAlertsUndelivered": "nothing has to be delivered unless something fires",
    "KernelLogMatched": "the kernel has not said it yet",
    "ContainerLogMatched": "the container has no log",
    "VirtualProcDown": "it is up",
    "VirtualProcNotServed": "it is served",
    "VirtualProcUnattached": "nothing is attached by itself here",
    "VirtualProcFailing": "nothing has failed",
    "VirtualProcFallbacks": "nothing had to stand in",
}
"""Rules without values here, and why."""


@native
def test_prometheus_evaluates_every_rule_over_real_series(
    container: Container, tool: Callable[[str], Tool], tmp_path: Path
) -> None:
    """The committed files: no rule fails over what an exporter really shows, and all but the listed ones have values.

    Series that do not fit together, as one series too many on a side, are errors that only real ones show.
    """
    container.start("while :; do :; done")
    rules = tmp_path / "rules"
    rules.mkdir()
    for path in SHIPPED.glob("*.yml"):
        (rules / path.name).write_text(path.read_text().replace("interval: 15s", "interval: 1s"))
    with (
        exporting(tmp_path, EVERYTHING) as exporter,
        prometheus(tool, tmp_path, exporter, 1, f"{rules}/*.yml", "6s") as url,
    ):

        def empty() -> set[str]:
            groups = fetch(f"{url}/api/v1/rules")["data"]["groups"]
            found = [rule for group in groups for rule in group["rules"]]
            assert {rule["health"] for rule in found} <= {"ok", "unknown"}, [
                (rule["name"], rule["lastError"]) for rule in found if rule.get("lastError")
            ]
            names = {rule.record: rule.alert for rule in shipped_rules().values()}
            assert {rule["name"] for rule in found if rule["type"] == "recording"} == names.keys()
            answer = fetch(
                f"{url}/api/v1/query?query=" + urllib.parse.quote('count by (__name__) ({__name__=~"cgscope:.+"})')
            )
            present = {one["metric"]["__name__"] for one in answer["data"]["result"]}
            healthy = all(rule["health"] == "ok" for rule in found)
            return {alert for record, alert in names.items() if record not in present} if healthy else {"not yet"}

        missing: set[str] = set()

        def complete() -> bool:
            missing.clear()
            missing.update(empty() - EMPTY.keys())
            return not missing

        try:
            eventually(complete, "every rule has values")
        except AssertionError:
            assert missing == set()
            raise


def printed_rules(exporter: Exporter) -> str:
    """Have the exporter's command print the rules of its configuration; gives the file."""
    command = [sys.executable, "-m", "exporters", "alerts", "--rules", "--config", str(exporter.path)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    path = exporter.path.with_name("rules.yml")
    path.write_text(printed.replace("interval: 15s", "interval: 1s"))
    return str(path)


Ask = Callable[[str], Mapping[str, Any] | None]


@contextmanager
def alertmanager(tool: Callable[[str], Tool], folder: Path, port: int) -> Iterator[Ask]:
    """Run Alertmanager; gives a function that finds the container's active alert of a name."""
    found = tool("prometheus-alertmanager")
    config = folder / "alertmanager.yml"
    config.write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
    words = [f"--config.file={config}", f"--storage.path={folder / f'alertmanager-{port}'}"]
    words += [f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="]
    with (folder / f"alertmanager-{port}.log").open("wb") as log:
        process = subprocess.Popen(_with_template([found.path, *words]), env=found.env, stderr=log, stdout=log)

    def ask(name: str) -> Mapping[str, Any] | None:
        matchers = urllib.parse.urlencode([("filter", f'alertname="{name}"'), ("filter", f'name="{NAME}"')])
        alerts: list[Mapping[str, Any]] = fetch(f"http://127.0.0.1:{port}/api/v2/alerts?active=true&{matchers}")
        return alerts[0] if alerts else None

    try:
        eventually(lambda: fetch(f"http://127.0.0.1:{port}/api/v2/status"), "Alertmanager runs")
        yield ask
    finally:
        process.kill()
        process.wait()


def _with_template(command: list[str]) -> list[str]:
    """Show Debian's Alertmanager, unpacked and not installed, its template where it looks for it."""
    if os.path.exists("/usr/share/prometheus/alertmanager/default.tmpl"):
        return command
    tree = command[0].removesuffix("/usr/bin/prometheus-alertmanager")
    script = 'mount -t tmpfs tmpfs /usr/share && cp -r "$0" /usr/share/prometheus && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", script, f"{tree}/usr/share/prometheus", *command]


@contextmanager
def prometheus(
    tool: Callable[[str], Tool],
    folder: Path,
    exporter: Exporter,
    alertmanager_port: int,
    rules: str,
    scrape: str = "1s",
) -> Iterator[str]:
    """Run Prometheus; gives its address."""
    config = folder / "prometheus.yml"
    config.write_text(
        f"global: {{scrape_interval: {scrape}, scrape_timeout: {scrape}, evaluation_interval: 1s}}\n"
        f"rule_files: ['{rules}']\n"
        "scrape_configs:\n  - job_name: cgroup-exporter\n"
        f"    static_configs: [{{targets: ['127.0.0.1:{exporter.port}']}}]\n"
        f"alerting: {{alertmanagers: [{{static_configs: [{{targets: ['127.0.0.1:{alertmanager_port}']}}]}}]}}\n"
    )
    found, port = tool("prometheus"), free_port()
    words = [f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}"]
    words += [f"--web.listen-address=127.0.0.1:{port}", "--rules.alert.resend-delay=2s"]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen([found.path, *words], env=found.env, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        eventually(
            lambda: fetch(f"{url}/api/v1/query?query=machine_threads")["data"]["result"], "Prometheus has scraped"
        )
        yield url
    finally:
        process.kill()
        process.wait()


# ---------------------------------------------------------------------------------- the exporter by itself

WATCHING = """
alerts:
  evaluation-interval: 1s
  engine-labels: [owner]
  shipped-rules: off
  rules:
    ContainerThreadsNearLimit: {critical: off, warning: off, info: {raise: 30%, clear: 20%, for: 0s}}
    KeyProcessMissing: {critical: {for: 0s}}
    KernelLogMatched: {info: {raise: 300}}
  processes:
    - {name: sleeper, cmdline: "sleep 7654[3]21", max: 5}
  kernel-log:
    shipped: false
    patterns: [{name: marker, regex: "cgscope-marker-$MARK", severity: info}]
  webhooks: [{url: "http://127.0.0.1:$HOOK/", first-wait: 100ms, longest-wait: 500ms}]
"""


def told(file: Path, alert: str, status: str) -> bool:
    """Tell whether a webhook took an alert about our container, or about none: others run here, too."""
    lines = file.read_text().splitlines() if file.exists() else []
    taken = [one for line in lines for one in json.loads(line)["alerts"]]
    return any(
        (one["labels"]["alertname"], one["status"]) == (alert, status) and one["labels"].get("name", NAME) == NAME
        for one in taken
    )


def test_threads_and_processes_of_a_container(container: Container, tmp_path: Path) -> None:
    """Too many threads, a process that is missing: they fire, the webhook and the listing know, and they resolve."""
    hook, file = free_port(), tmp_path / "hook"
    config = WATCHING.replace("$HOOK", str(hook)).replace("$MARK", str(os.getpid()))
    with receiving(hook, file), exporting(tmp_path, config) as exporter:
        eventually(lambda: told(file, "KeyProcessMissing", "firing"), "the missing process is told")
        pid = container.start("sleep 7654321")
        eventually(lambda: told(file, "KeyProcessMissing", "resolved"), "the process is there")
        pids = [pid, *(container.start("sleep 3600") for _ in range(20))]
        eventually(lambda: told(file, "ContainerThreadsNearLimit", "firing"), "many threads are told")
        assert NAME in [
            one["labels"]["name"] for one in exporter.alerts() if one["name"] == "ContainerThreadsNearLimit"
        ]
        listing = [sys.executable, "-m", "exporters", "alerts", "--url", exporter.url]
        listed = subprocess.run(listing, capture_output=True, text=True, check=True).stdout
        assert re.search(rf"firing +info .*ContainerThreadsNearLimit +{NAME}: \d+%", listed), listed
        container.sh(f"kill {' '.join(map(str, pids))}")

        def resolved() -> bool:
            container.sh("true")  # only then the shell waits for those that ended; until then they count
            return told(file, "ContainerThreadsNearLimit", "resolved")

        eventually(resolved, "they ended")
    assert "alert firing: ContainerThreadsNearLimit (info)" in exporter.log.read_text()


@ANY_WORLD
def test_a_wrong_configuration_changes_nothing(container: Container, tmp_path: Path) -> None:
    """SIGHUP with a mistake: the mistake is logged with its place, alerts go on; with a right one they follow it."""
    del container
    config = WATCHING.replace("$HOOK", "1").replace("$MARK", "x")
    with exporting(tmp_path, config) as exporter:
        exporter.evaluated()
        (first,) = [one for one in exporter.alerts() if one["name"] == "KeyProcessMissing"]
        exporter.configure(config.replace("raise: 30%", "raise: many"))
        exporter.process.send_signal(signal.SIGHUP)
        eventually(lambda: "expected a number, found 'many'" in exporter.log.read_text(), "the mistake is logged")
        assert re.search(r"exporter\.yml:\d+:\d+: expected a number.*stays in force", exporter.log.read_text())
        exporter.evaluated()
        assert [one["since"] for one in exporter.alerts() if one["name"] == "KeyProcessMissing"] == [first["since"]]
        exporter.configure(config.replace("max: 5", "max: 6"))
        exporter.process.send_signal(signal.SIGHUP)
        eventually(lambda: "configuration reloaded" in exporter.log.read_text(), "the right one is taken")
        exporter.evaluated()
        assert [one["since"] for one in exporter.alerts() if one["name"] == "KeyProcessMissing"] == [first["since"]]
        exporter.configure("alerts: false\n")
        exporter.process.send_signal(signal.SIGHUP)
        eventually(lambda: not fetch(f"{exporter.url}/api/v1/alerts")["enabled"], "they are switched off")


def test_a_restart_loses_nothing(container: Container, tmp_path: Path) -> None:
    """An exporter is killed while an alert fires; the next one goes on, and tells when it is resolved."""
    hook, file = free_port(), tmp_path / "hook"
    config = WATCHING.replace("$HOOK", str(hook)).replace("$MARK", "x")
    with receiving(hook, file):
        exporter = Exporter(tmp_path, config, "--oom-state", str(tmp_path / "memory" / "oom.json"))
        try:
            eventually(lambda: told(file, "KeyProcessMissing", "firing"), "the missing process is told")
            (first,) = [one for one in exporter.alerts() if one["name"] == "KeyProcessMissing"]
        finally:
            exporter.process.kill()
            exporter.process.wait()
        container.start("sleep 7654321")
        exporter = Exporter(tmp_path, config, "--oom-state", str(tmp_path / "memory" / "oom.json"))
        try:
            eventually(lambda: told(file, "KeyProcessMissing", "resolved"), "the process is there")
        finally:
            exporter.end()
    taken = [one for line in file.read_text().splitlines() for one in json.loads(line)["alerts"]]
    mine = [one for one in taken if one["labels"]["alertname"] == "KeyProcessMissing"]
    assert {one["startsAt"] for one in mine} == {mine[0]["startsAt"]}
    assert len({one["fingerprint"] for one in mine}) == 1
    assert first["since"] > 0


def test_the_kernel_log_is_watched(tmp_path: Path) -> None:
    """A line that the kernel writes fires its pattern's alert, with the line in the text."""
    if os.geteuid() != 0:
        pytest.skip("the kernel's log takes root")
    # What user space writes is not the kernel's: it must not count. The OOM killer's own words are the kernel's.
    config = WATCHING.replace("$HOOK", "1").replace('"cgscope-marker-$MARK"', f"'oom-kill:constraint.*{NAME}-log'")
    with exporting(tmp_path, config) as exporter, mounted(tmp_path) as instance:
        exporter.evaluated()
        Path("/dev/kmsg").write_text(f"oom-kill:constraint=NONE, says a user of {NAME}-log\n")
        exporter.evaluated()
        assert [one for one in exporter.alerts() if one["name"] == "KernelLogMatched"] == []
        with running(instance, f"{NAME}-log", "--memory", "16M") as one:
            eventually(lambda: _killed(one, exporter), "the kernel says that it kills")
        (alert,) = [one for one in exporter.alerts() if one["name"] == "KernelLogMatched"]
        assert alert["annotations"]["summary"].startswith("kernel log, marker: oom-kill:constraint=CONSTRAINT_MEMCG")


def _killed(container: Container, exporter: Exporter) -> bool:
    """Have something killed, and look for the alert: the kernel limits how often it writes about it."""
    container.sh("tail /dev/zero; true")
    return any(one["name"] == "KernelLogMatched" for one in exporter.alerts())


@ANY_WORLD
def test_without_alerts_nothing_runs(container: Container, tmp_path: Path) -> None:
    """Switched off, the exporter does not look at anything between two scrapes."""
    del container
    with exporting(tmp_path, "cgroups: containers\n") as exporter:
        assert fetch(f"{exporter.url}/api/v1/alerts")["enabled"] is False
        before = exporter.number("cgroup_exporter_scrapes_total", "exporter")
        time.sleep(2.5)  # nothing is waited for: there must not be anything
        assert exporter.number("cgroup_exporter_scrapes_total", "exporter") == before + 1
