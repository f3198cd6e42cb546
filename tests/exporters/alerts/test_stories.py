"""Every rule by its stories: in the built-in engine, and the same in Prometheus' promtool."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import yaml

from exporters.alerts import document
from exporters.alerts.prometheus import files
from exporters.alerts.rulefile import shipped_rules
from exporters.alerts.state import Alert
from scripts.debian_tools import Tool
from tests.exporters.alerts.story import STEP_SECONDS, Story, replay, stories, to_promtool

STORIES = stories(Path(__file__).with_name("stories.yml"))
RULE_FILES = Path(__file__).resolve().parents[3] / "dashboards" / "prometheus"


@cache
def verdicts(index: int) -> dict[int, tuple[Alert, ...]]:
    """Replay a story once: seconds -> what fires, for all tests."""
    story = STORIES[index]
    # What only Prometheus can see is the same rule all the same.
    rule = replace(shipped_rules()[story.alert], prometheus_only=False)
    return dict(replay(rule, story))


@pytest.mark.parametrize("index", range(len(STORIES)), ids=[f"{one.alert}: {one.title}" for one in STORIES])
def test_the_engine_tells_each_story(index: int) -> None:
    """Exactly these severities fire at these times, with these labels."""
    found = verdicts(index)
    for check in STORIES[index].checks:
        firing = found[check.seconds]
        assert sorted(one.severity for one in firing) == sorted(severity for severity, _ in check.firing), check
        for severity, labels in check.firing:
            assert any(one.severity == severity and labels.items() <= one.labels.items() for one in firing), check


def test_promtool_comes_to_the_same_verdicts(tool: Callable[[str], Tool], tmp_path: Path) -> None:
    """Prometheus, with the committed rule files and the same series, fires the same alerts with the same texts."""
    tests: dict[str, list[object]] = {}
    for index, story in enumerate(STORIES):
        tests.setdefault(shipped_rules()[story.alert].group, []).append(to_promtool(story, verdicts(index)))
    paths = []
    for group, of in tests.items():  # a file for each: promtool evaluates all rules for every story of a file
        rules = [str(RULE_FILES / f"{group}.yml")]
        document = {"rule_files": rules, "evaluation_interval": f"{STEP_SECONDS}s", "tests": of}
        paths.append(tmp_path / f"{group}.yml")
        paths[-1].write_text(yaml.safe_dump(document, sort_keys=False, width=1000))
    promtool = tool("promtool")
    command = [promtool.path, "test", "rules", *map(str, paths)]
    result = subprocess.run(command, env=promtool.env, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, (result.stdout + result.stderr)[:8000]


def test_committed_rule_files_are_up_to_date() -> None:
    """dashboards/prometheus/ is what the rules give; `make rules` writes it."""
    assert {path.name: path.read_text() for path in RULE_FILES.glob("*.yml")} == files(shipped_rules().values())


def test_the_documented_table_is_up_to_date() -> None:
    """docs/alerts.md lists every rule with its levels; `make rules` writes the list."""
    with open(document.PATH, encoding="utf-8") as file:
        text = file.read()
    assert text == document.rewritten(text, shipped_rules().values())
    assert all(f"[{alert}](runbooks/{alert}.md)" in text for alert in shipped_rules())


def test_promtool_accepts_the_rule_files(tool: Callable[[str], Tool]) -> None:
    """`promtool check rules` has nothing to say."""
    promtool = tool("promtool")
    command = [promtool.path, "check", "rules", "--lint-fatal", *map(str, RULE_FILES.glob("*.yml"))]
    result = subprocess.run(command, env=promtool.env, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("alert", shipped_rules())
def test_stories_of_a_rule_are_complete(alert: str) -> None:
    """Every severity is seen quiet, firing, and, where it has two levels, firing between them; then series vanish."""
    rule = shipped_rules()[alert]
    mine = [(story, verdicts(index)) for index, story in enumerate(STORIES) if story.alert == alert]
    seen = [(check, found[check.seconds]) for story, found in mine for check in story.checks]
    for severity, level in rule.levels.items():
        fired = [one for _, firing in seen for one in firing if one.severity == severity]
        assert fired, f"{severity} never fires"
        assert any(severity not in {one.severity for one in firing} for _, firing in seen), f"{severity} always fires"
        if level.clear_at != level.raise_at:
            passed = [one.value > level.raise_at if rule.above else one.value < level.raise_at for one in fired]
            assert not all(passed), f"{severity} is never seen between its two levels"
    assert any(_goes_missing(story) for story, _ in mine)


def _goes_missing(story: Story) -> bool:
    """Tell whether series vanish that made an alert fire, and it is quiet afterwards."""
    first, last = story.checks[0], story.checks[-1]
    vanished = any(values[-1] == "stale" for values in story.series.values())
    return vanished and (bool(first.firing) or len(story.checks) > 2) and not last.firing
