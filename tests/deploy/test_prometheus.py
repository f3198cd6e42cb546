"""What is shipped for Prometheus and Alertmanager fits the rules that are shipped with it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from exporters.alerts.expression import selectors
from exporters.alerts.promql import parse
from exporters.alerts.rulefile import METRICS, shipped_rules

ALERTMANAGER = Path(__file__).resolve().parents[2] / "deploy/prometheus/alertmanager.yml"
OF_CONTAINERS = {"id", "engine", "namespace", "pod", "name"}
SAME_FOR_ALL = {"level"}  # a pattern or process has one


@pytest.mark.parametrize("alert", [rule.alert for rule in shipped_rules().values() if len(rule.levels) > 1])
def test_a_severe_alert_silences_only_its_own_lesser_one(alert: str) -> None:
    """Alertmanager takes a label that both lack, and that is not compared, for equal: all that differ are named."""
    value = parse(shipped_rules()[alert].value)
    labels = {label for one in selectors(value) for label in METRICS[one.name].labels}
    if any(one.name.startswith("container_") for one in selectors(value)):
        labels |= OF_CONTAINERS
    config = yaml.safe_load(ALERTMANAGER.read_text())
    for rule in config["inhibit_rules"]:
        assert labels - SAME_FOR_ALL - {"fstype"} <= set(rule["equal"])
