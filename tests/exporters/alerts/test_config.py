"""The alerts section of the configuration: what it may say, and that every mistake is named with line and column."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from cgscope.yamlfile import ConfigError, load
from exporters.alerts.config import AlertConfig, read_alerts
from exporters.alerts.rule import Level
from exporters.alerts.rulefile import METRICS, shipped_rules
from exporters.cli import main

EVERYTHING = """\
evaluation-interval: 5s
runbooks: https://wiki.example/runbooks
labels: {cluster: north}
engine-labels: [owner, com.example/team]
rules:
  ContainerMemoryNearLimit:
    warning: {raise: 85%, for: 5m}
    critical: off
  ContainerEmpty: off
  QueueOfThreads:
    value: container_threads > 0
    info: {raise: 10}
    summary: "{who} has {value} threads"
overrides:
  - match: {engine: docker, name: "web-*"}
    rules:
      ContainerThreadsNearLimit: {info: off, warning: {raise: 0.95}}
      ContainerCpuThrottled: off
  - match: {namespace: prod, labels: {owner: shop}}
    rules: {ContainerGone: {info: off, critical: {raise: 30}}}
processes:
  - {name: nginx, process: nginx, min: 2, max: 10, threads: 100, descriptors: 1000, memory: 1G, severity: warning}
  - {name: backup, cmdline: "backup --all", cgroup: "/system.slice/*"}
kernel-log:
  patterns:
    - {name: usb, regex: "USB disconnect", severity: info, at-least: 3, within: 10m}
container-logs:
  - {name: panic, regex: "^panic:", severity: critical, match: {name: "web-*"}}
log: false
webhooks:
  - {url: "http://127.0.0.1:1/hook", headers: {X-Key: secret}, severity: warning, repeat: 1m, timeout: 3s, queue: 50}
alertmanagers:
  - {url: "http://127.0.0.1:9093/"}
"""


def read(tmp_path: Path, text: str) -> AlertConfig:
    """Read a section."""
    path = tmp_path / "alerts.yml"
    path.write_text(text)
    value = load(str(path))
    assert value is not None
    return read_alerts(value)


def test_everything_that_can_be_said(tmp_path: Path) -> None:
    """Each setting arrives where it belongs, and what is not named keeps its default."""
    found = read(tmp_path, EVERYTHING)
    rules = {rule.alert: rule for rule in found.rules}
    assert (found.enabled, found.interval_seconds, found.log) == (True, 5.0, False)
    assert found.runbooks == "https://wiki.example/runbooks/"
    assert found.needed_labels == ("owner", "com.example/team")
    # Raised by 5 points less: cleared by 5 points less, too.
    (level,) = rules["ContainerMemoryNearLimit"].levels.values()
    assert (level.raise_at, round(level.clear_at, 9), level.for_seconds) == (0.85, 0.75, 300.0)
    assert "ContainerEmpty" not in rules
    assert rules["QueueOfThreads"].levels == {"info": Level(10, 10)}
    assert found.overrides[0].rules["ContainerCpuThrottled"] is None
    nginx = found.processes[0]
    assert (nginx.level, nginx.count_min, nginx.count_max, nginx.memory_max_bytes) == ("warning", 2, 10, 1 << 30)
    assert {one.name for one in found.kernel_log} > {"usb", "hung-task"}
    webhook, alertmanager = found.receivers
    assert (webhook.repeat_seconds, webhook.timeout_seconds, webhook.least, webhook.most_waiting) == (
        60,
        3,
        "warning",
        50,
    )
    assert alertmanager.url == "http://127.0.0.1:9093/api/v2/alerts"


@pytest.mark.parametrize(("text", "enabled"), [("true", True), ("off", False), ("{}", True), ("{enabled: no}", False)])
def test_it_can_be_switched(tmp_path: Path, text: str, *, enabled: bool) -> None:
    """``alerts: true`` is all of it as it comes."""
    found = read(tmp_path, text)
    assert found.enabled is enabled
    assert found.rules == tuple(shipped_rules().values())


def test_only_named_rules(tmp_path: Path) -> None:
    """Without the shipped rules there are those that are named, as they come or changed, or one's own instead."""
    text = "shipped-rules: off\nrules:\n  ContainerEmpty: {info: {for: 1h}}\n"
    text += "  ContainerGone: {value: container_threads, summary: x, info: {raise: 1}}\n"
    found = {rule.alert: rule for rule in read(tmp_path, text).rules}
    assert found.keys() == {"ContainerEmpty", "ContainerGone"}
    assert found["ContainerEmpty"].levels["info"].for_seconds == 3600
    assert found["ContainerGone"].value == "container_threads"
    assert read(tmp_path, "shipped-rules: off").rules == ()


WRONG = [
    ("webhook: []", "1:1: alerts has no 'webhook'; did you mean webhooks?"),
    ("evaluation-interval: 0s", "1:22: expected a duration above 0"),
    ("evaluation-interval: soon", "1:22: 'soon' is not a duration"),
    (
        "rules:\n  ContainerOomKiled: off",
        "2:3: there is no rule 'ContainerOomKiled' (a new one needs a value); did you",
    ),
    ("rules:\n  ContainerEmpty: {info: {raise: x}}", "2:34: expected a number, found 'x'"),
    ("rules:\n  ContainerEmpty: {info: {rise: 1}}", "2:27: a severity has no 'rise'; did you mean raise?"),
    ("rules:\n  ContainerEmpty: {fatal: {raise: 1}}", "2:20: a change of ContainerEmpty has no 'fatal'"),
    ("rules:\n  ContainerEmpty: on", "2:19: expected off, or settings"),
    ("rules:\n  ContainerDyingCgroups: {info: {clear: 300}}", "2:41: clear (300) is above raise (200)"),
    ("rules:\n  MachineMemoryLow: {warning: {clear: 5%}}", "2:39: clear (0.05) is below raise (0.1)"),
    (
        "rules:\n  ContainerThreadsNearLimit: {warning: {raise: 99%}}",
        "2:40: ContainerThreadsNearLimit: critical (0.98)",
    ),
    (
        "rules:\n  New: {value: container_thread, summary: x}",
        "2:16: there is no metric 'container_thread'; did you mean",
    ),
    ("rules:\n  New: {value: 'rate(container_threads[5m])', summary: x}", "2:16: rate() wants a counter"),
    ("rules:\n  New: {value: sum(container_threads, summary: x}", "2:"),
    ("rules:\n  New:\n    value: 1 + + 2", "3:16: expected a metric, a function or a number, found '+'"),
    ("rules:\n  New:\n    value: |\n      container_threads +\n      foo(1)\n", "3:12: there is no function 'foo'"),
    ("rules:\n  New: {value: container_threads}", "2:8: 'summary' is missing here"),
    ("rules:\n  New: {value: container_threads, summary: x}", "2:8: a rule needs one of info, warning, critical"),
    ("rules:\n  new-one: {value: container_threads, summary: x}", "2:3: 'new-one' is no name of an alert"),
    ("overrides:\n  - {match: {}, rules: {}}", "2:13: expected one of engine, name, namespace, labels"),
    ("overrides:\n  - {match: {nam: x}, rules: {}}", "2:14: match has no 'nam'; did you mean name or"),
    ("overrides:\n  - {match: {name: x}, rules: {Foo: off}}", "2:32: there is no rule 'Foo'"),
    ("labels: {severity: x}", "1:10: 'severity' cannot be a label here"),
    ("engine-labels: [severity]", "1:17: 'severity' would hide the alert's own label"),
    ("processes:\n  - {name: x}", "2:5: expected process, cmdline or cgroup"),
    ("processes:\n  - {name: x, process: x, min: 3, max: 2}", "2:40: max (2) is below min (3)"),
    ("processes:\n  - {name: x, process: x}\n  - {name: x, process: y}", "3:5: 'x' is given twice"),
    ("processes:\n  - {name: x, cmdline: '('}", "2:24: not a regular expression"),
    ("processes:\n  - {name: x, process: x, min: -1}", "2:32: expected a whole number"),
    ("kernel-log: {patterns: [{name: x, regex: '['}]}", "1:42: not a regular expression"),
    ("container-logs:\n  - {name: x, regex: x, at-least: 0}", "2:35: expected 1 or more"),
    ("webhooks:\n  - {url: example.org}", "2:11: 'example.org' is not an address"),
    ("webhooks:\n  - {url: 'http://a:99999/'}", "2:11: 'http://a:99999/' is not an address"),
    ("webhooks:\n  - {ulr: x}", "2:6: a webhook has no 'ulr'; did you mean url?"),
    ("webhooks:\n  - {}", "2:5: 'url' is missing here"),
    ("alertmanagers:\n  - {url: 'https://a/', ca-file: /nowhere}", "2:34: no certificates to be had from '/nowhere'"),
    ("- a", "1:1: expected a single value"),
    ("rules: [", "expected the node content"),
    ("rules:\n\tContainerEmpty: off", "2:1: a tab: YAML is indented with spaces"),
    ("rules: {}\n---\nrules: {}", "2:1: a second document begins here"),
    ("rules: {ContainerEmpty: off\nlog: on\n", "(while parsing a flow mapping that begins in line 1)"),
    ("log: on\nrunbooks: \x00", "2:11: not text in UTF-8"),
    ("rules: " + "[" * 1000, "nested too deeply"),
    ("rules:\n  - ContainerEmpty: off", "2:3: expected keys and values, found a list"),
    ("processes: nginx", "1:12: expected a list, found 'nginx'"),
    ("log:", "1:5: expected true or false, found nothing"),
    ("rules: {ContainerEmpty: [off]}", "1:25: expected off, or settings, found a list"),
    ("webhooks:\n  - {url: 'http://a/', queue: 0}", "2:31: expected 1 or more"),
    ("rules:\n  New:\n    value: 1 +", "3:15: expected a metric, a function or a number, found the end"),
]


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_mistakes_are_named_with_their_place(tmp_path: Path, text: str, message: str) -> None:
    """Line, column, what is wrong, and what was probably meant."""
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert message in str(caught.value)


def test_check_config_explains_a_mistake(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """One line with the place in the whole file, exit code 1; a right one is said to be in order."""
    path = tmp_path / "exporter.yml"
    path.write_text("cgroups: all\nalerts:\n  rules:\n    ContainerEmpty: {info: {raise: many}}\n")
    assert main(["--check-config", "--config", str(path)]) == 1
    assert capfd.readouterr().err == f"cgroup-exporter: {path}:4:36: expected a number, found 'many'\n"
    path.write_text("cgroups: all\nalerts:\n  rules:\n    ContainerEmpty: {info: {raise: 0, for: 1h}}\n")
    assert main(["--check-config", "--config", str(path)]) == 0
    assert "in order" in capfd.readouterr().out


MANY = """\
nameing: thin
collectors: {cpuu: on, memory: maybe}
alerts:
  deliveries: {}
  webhooks: [{url: example.org}]
  processes: [{name: a, process: x}, {name: b}, {name: a, process: y}]
  overrides: [{match: {name: x}, rules: {Nonsense: off}}]
  rules:
    Nonsense: {warning: {raise: 1}}
    ContainerEmpty: {info: {raise: many}}
    Own: {value: container_thread, summary: x, info: {raise: 1}}
"""


def test_check_config_explains_all_mistakes(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A line for each, in the order of the file; overrides wait until the rules that they name are right."""
    path = tmp_path / "exporter.yml"
    path.write_text(MANY)
    assert main(["--check-config", "--config", str(path)]) == 1
    lines = capfd.readouterr().err.removeprefix("cgroup-exporter: ").splitlines()
    assert all(line.startswith(f"{path}:") for line in lines)
    assert [line.removeprefix(f"{path}:").split(": ")[0] for line in lines] == [
        "1:1",
        "2:14",
        "2:32",
        "4:3",
        "5:20",
        "6:38",
        "6:49",
        "9:5",
        "10:36",
        "11:18",
    ]
    assert main(["alerts", "--rules", "--config", str(path)]) == 1
    assert capfd.readouterr().err.count(f"{path}:") == 7


MANY_IN_ONE = """\
alerts:
  rules:
    ContainerMemoryNearLimit: {warning: {raise: 85MB, for: 5 minutes}, critical: {raise: 2, clear: 3}}
    ContainerEmpty: off
    ContainerEmpty: off
    Own: {value: container_thread}
  processes: [{process: x, min: -1}]
  container-logs: [{regex: "(", at-least: 0, within: 0s, severity: loud}]
  webhooks: [{url: "ftp://a", repeat: 0s, queue: 0}]
  overrides: [{match: {nam: x}, rules: {Foo: off, Bar: off}}]
"""


def test_several_mistakes_of_one_thing_are_all_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A wrong field keeps nobody from reading its neighbours, and makes no other mistake of what was right."""
    path = tmp_path / "exporter.yml"
    path.write_text(MANY_IN_ONE)
    assert main(["--check-config", "--config", str(path)]) == 1
    told = [line.split(f"{path}:")[1] for line in capfd.readouterr().err.splitlines()]
    assert [line.split(": ")[0] for line in told] == [
        *("3:49", "3:60", "3:100", "5:5", "6:10", "6:10", "6:18"),
        *("7:15", "7:33", "8:20", "8:28", "8:43", "8:54", "8:68"),
        *("9:20", "9:39", "9:50"),
    ]
    path.write_text(f"alerts:\n{MANY_IN_ONE.splitlines()[-1]}\n")
    assert main(["--check-config", "--config", str(path)]) == 1
    told = [line.split(f"{path}:")[1] for line in capfd.readouterr().err.splitlines()]
    assert [line.split(": ")[0] for line in told] == ["2:24", "2:41", "2:51"]


def test_shipped_rules_only_name_what_there_is() -> None:
    """Every metric is in the catalogue; every label in a matcher is one that the metric or its container has."""
    container = {"id", "name", "image", "container", "pod", "namespace", "engine"}
    for rule in shipped_rules().values():
        for one in rule.selectors:
            if one.name == "up":
                continue
            known = set(METRICS[one.name].labels) | (container if one.name.startswith("container_") else set())
            assert {matcher.label for matcher in one.matchers} <= known, (rule.alert, one.name)


def test_rules_are_printed_for_prometheus(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """``cgroup-exporter alerts --rules`` writes the configured rules as one file of groups."""
    path = tmp_path / "exporter.yml"
    path.write_text("alerts:\n  rules:\n    ContainerEmpty: off\n    ContainerGone: {info: {raise: 31}}\n")
    assert main(["alerts", "--rules", "--config", str(path)]) == 0
    printed = capfd.readouterr().out
    assert printed.count("groups:") == 1
    assert "ContainerEmpty" not in printed
    assert "cgscope:container_gone > 31" in printed
    assert "overrides" not in printed


def test_the_printed_rules_say_what_they_lack(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Overrides cannot be told to Prometheus: whoever uses the file reads that in it, and it is still one file."""
    path = tmp_path / "exporter.yml"
    path.write_text("alerts:\n  overrides:\n  - {match: {engine: docker}, rules: {ContainerGone: off}}\n")
    assert main(["alerts", "--rules", "--config", str(path)]) == 0
    printed = capfd.readouterr().out
    assert "overrides for some containers" in printed
    assert "cgscope:container_gone" in str(yaml.safe_load(printed)["groups"])
