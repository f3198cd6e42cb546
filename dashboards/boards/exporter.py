"""The exporter's own health."""

from __future__ import annotations

from dashboards.panel import Board, Panel, Query, Row

BOARD = Board(
    uid="cgscope-exporter",
    title="Containers / Exporter",
    text="What the exporter costs, and what it could not read.",
    rows=(
        Row(
            "Work",
            (
                Panel(
                    "Time of a scrape",
                    "From the first read to the last, before the page is written. Near Prometheus' timeout: fewer collectors, or --cgroups containers.",
                    "s",
                    (Query("cgroup_exporter_scrape_duration_seconds", "{{instance}}"),),
                    scope="machine",
                ),
                Panel(
                    "Time by collector",
                    "Which collectors the time goes to.",
                    "s",
                    (
                        Query(
                            "topk(8, max by (instance, collector) (cgroup_exporter_collector_duration_seconds))",
                            "{{collector}} {{instance}}",
                        ),
                    ),
                    scope="machine",
                ),
                Panel(
                    "CPU",
                    "CPUs that the exporter uses.",
                    "short",
                    (Query("rate(process_cpu_seconds_total[$__rate_interval])", "{{instance}}"),),
                    scope="machine",
                ),
                Panel(
                    "Memory",
                    "Memory of the exporter.",
                    "bytes",
                    (Query("process_resident_memory_bytes", "{{instance}}"),),
                    scope="machine",
                ),
            ),
        ),
        Row(
            "Truth",
            (
                Panel(
                    "Failing collectors",
                    "1: said all; below: the log says why.",
                    "short",
                    (
                        Query(
                            "min by (instance, collector) (cgroup_exporter_collector_success)",
                            "{{collector}} {{instance}}",
                        ),
                    ),
                    scope="machine",
                    runbook="ExporterCollectorFailed",
                    most=1,
                ),
                Panel(
                    "Unreadable parts",
                    "Parts of containers that could not be read, per second, with the reason.",
                    "short",
                    (
                        Query(
                            "sum by (instance, part, reason) (rate(cgroup_exporter_read_problems_total[$__rate_interval]))",
                            "{{part}}: {{reason}} {{instance}}",
                        ),
                    ),
                    scope="machine",
                    may_be_empty="everything could be read",
                ),
                Panel(
                    "Series",
                    "Values of containers on the page, and those left out by --max-series.",
                    "short",
                    (
                        Query("cgroup_exporter_series", "on the page {{instance}}"),
                        Query(
                            "rate(cgroup_exporter_series_dropped_total[$__rate_interval])",
                            "left out per second {{instance}}",
                        ),
                    ),
                    scope="machine",
                    runbook="ExporterSeriesDropped",
                ),
                Panel(
                    "Control files kept open",
                    "Of those that may be: beyond, each scrape opens files anew, which costs ten times as much.",
                    "short",
                    (
                        Query("cgroup_exporter_open_descriptors", "open {{instance}}"),
                        Query("cgroup_exporter_open_descriptors_max", "most {{instance}}", limit=True),
                    ),
                    scope="machine",
                ),
            ),
        ),
    ),
)
