"""The catalogue: complete, well named, documented, and the same as what pages say."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest

from cgroup_model import snapshot
from cgroup_model.dialects.origins import ORIGINS
from exporters.catalogue import CADVISOR_ONLY_NAMES, CONTAINER_LABELS, Entry, entries, to_markdown
from exporters.encoder import header
from exporters.families import FAMILIES
from exporters.setup import Exporter

ROOT = Path(__file__).resolve().parents[2]
DIALECTS = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "cgroup_model/dialects").rglob("*.py"))
ENTRIES = list(entries())

# What boards and rules that many people use ask for (grafana.com 193 and 14282, dockprom, kubernetes-mixin, k8s-views,
# awesome-prometheus-alerts), with the labels by which they ask.
ASKED_FOR = {
    "container_cpu_usage_seconds_total": {"cpu"},
    "container_cpu_user_seconds_total": set(),
    "container_cpu_cfs_periods_total": set(),
    "container_cpu_cfs_throttled_periods_total": set(),
    "container_cpu_cfs_throttled_seconds_total": set(),
    "container_memory_usage_bytes": set(),
    "container_memory_working_set_bytes": set(),
    "container_memory_rss": set(),
    "container_memory_cache": set(),
    "container_memory_swap": set(),
    "container_memory_failures_total": {"failure_type", "scope"},
    "container_spec_memory_limit_bytes": set(),
    "container_spec_memory_reservation_limit_bytes": set(),
    "container_spec_cpu_quota": set(),
    "container_spec_cpu_period": set(),
    "container_fs_reads_total": {"device"},
    "container_fs_writes_total": {"device"},
    "container_fs_reads_bytes_total": {"device"},
    "container_fs_writes_bytes_total": {"device"},
    "container_network_receive_bytes_total": {"interface"},
    "container_network_transmit_bytes_total": {"interface"},
    "container_network_receive_packets_total": {"interface"},
    "container_network_transmit_packets_total": {"interface"},
    "container_network_receive_packets_dropped_total": {"interface"},
    "container_network_transmit_packets_dropped_total": {"interface"},
    "container_network_receive_errors_total": {"interface"},
    "container_network_transmit_errors_total": {"interface"},
    "container_last_seen": set(),
    "container_start_time_seconds": set(),
    "machine_cpu_cores": set(),
    "machine_memory_bytes": set(),
}


def test_documentation_is_the_catalogue() -> None:
    """docs/metrics.md is what the code says; `make docs` writes it anew."""
    assert (ROOT / "docs/metrics.md").read_text(encoding="utf-8") == to_markdown()


@pytest.mark.parametrize("name", ASKED_FOR)
def test_boards_find_their_metrics(name: str) -> None:
    """Existing dashboards and rules work unchanged: name, on by default, labels."""
    found = [entry for entry in ENTRIES if entry.metric.name == name]
    assert [entry.family.default for entry in found] == [True]
    assert ASKED_FOR[name] <= set(found[0].metric.labels)


def test_every_name_is_declared_once() -> None:
    """One name has one type, one text and one set of labels, in both formats."""
    assert [name for name, times in Counter(one.metric.name for one in ENTRIES).items() if times > 1] == []
    in_openmetrics = Counter(header(one.metric, "openmetrics").split()[2] for one in ENTRIES)
    assert [name for name, times in in_openmetrics.items() if times > 1] == []


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.metric.name)
def test_names_follow_the_conventions(entry: Entry) -> None:
    """Valid names; counters and only they end in _total; the text is a sentence; no label of the container's again."""
    metric = entry.metric
    assert re.fullmatch(r"(container|machine|cgroup_exporter|procfs_fuse|process)_[a-z0-9_]+", metric.name)
    if metric.name not in CADVISOR_ONLY_NAMES:
        assert metric.name.endswith("_total") == (metric.type == "counter")
        assert metric.type != "untyped"
    assert metric.help.endswith(".")
    assert "\n" not in metric.help
    assert len(set(metric.labels)) == len(metric.labels)
    own = metric.name in {"container_info", "cgroup_exporter_alert"}
    assert own or not set(metric.labels) & set(CONTAINER_LABELS["cadvisor"])


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.metric.name)
def test_sources_are_named(entry: Entry) -> None:
    """Each metric says where its value comes from in at least one world."""
    assert (entry.v1, entry.v2) != ("-", "-")


def test_origins_name_fields_and_files_that_exist() -> None:
    """The table of origins is about real fields of records, and files that the readers really read."""
    for key, origin in ORIGINS.items():
        record, name = key.split(".")
        assert name in {field.name for field in fields(getattr(snapshot, record))}, key
        for text in filter(None, origin):
            file = text.split(" ")[0]
            assert file.replace("hugetlb.SIZE", "{prefix}") in DIALECTS or file.split("SIZE")[-1] in DIALECTS, text


def test_pages_hold_nothing_but_the_catalogue(exporter: Callable[..., Exporter]) -> None:
    """Each row of a page fits its declaration, whatever is switched on."""
    everything = dict.fromkeys(FAMILIES, True)
    sheet = exporter("v2-docker", collectors=everything).scraper.scrape()
    declared = {entry.metric for entry in ENTRIES}
    for metric, places in sheet.metrics():
        assert metric in declared
        for part, index in places:
            column = part.group.columns[index]
            assert (*part.group.labels, *(name for name, _ in column.constant)) == metric.labels
            assert all(len(labels) == len(part.group.labels) for _, labels, _ in part.rows)
