"""Limits and what is left below them: the least of all levels."""

from __future__ import annotations

from dashboards.panel import Board, Panel, Query, Row

_BY = "by (instance, engine, namespace, pod, name)"

BOARD = Board(
    uid="cgscope-limits",
    title="Containers / Limits and headroom",
    text="Effective limits (own and ancestors') of memory, CPU and threads, and how much of each is used.",
    choices=("engine", "name"),
    rows=(
        Row(
            "All",
            (
                Panel(
                    "Headroom",
                    "Used shares of effective limits, and the limits. No value: no limit.",
                    "percentunit",
                    (
                        Query(
                            f"max {_BY} (container_memory_working_set_bytes / (container_effective_memory_limit_bytes > 0))",
                            "Memory",
                        ),
                        Query(f"max {_BY} (container_effective_memory_limit_bytes > 0)", "Memory limit", unit="bytes"),
                        Query(f"max {_BY} (container_threads / (container_effective_threads_max > 0))", "Threads"),
                        Query(f"max {_BY} (container_effective_threads_max > 0)", "Threads limit", unit="short"),
                        Query(f"max {_BY} (container_effective_cpu_limit_cores > 0)", "CPU quota", unit="short"),
                    ),
                    "table",
                    width=24,
                    height=12,
                    runbook="ContainerMemoryNearLimit",
                ),
            ),
        ),
        Row(
            "Nearest to a limit",
            (
                Panel(
                    "Memory",
                    "Working set of the limit.",
                    "percentunit",
                    (
                        Query(
                            "topk(10, max by (instance, engine, name) (container_memory_working_set_bytes / (container_effective_memory_limit_bytes > 0)))",
                            "{{name}} {{instance}}",
                        ),
                    ),
                    runbook="ContainerWorkingSetNearLimit",
                ),
                Panel(
                    "CPU",
                    "CPU of the quota.",
                    "percentunit",
                    (
                        Query(
                            "topk(10, sum by (instance, engine, name) (rate(container_cpu_usage_seconds_total[$__rate_interval]))"
                            " / max by (instance, engine, name) (container_effective_cpu_limit_cores > 0))",
                            "{{name}} {{instance}}",
                        ),
                    ),
                    runbook="ContainerCpuThrottled",
                ),
                Panel(
                    "Threads",
                    "Threads of the limit.",
                    "percentunit",
                    (
                        Query(
                            "topk(10, max by (instance, engine, name) (container_threads / (container_effective_threads_max > 0)))",
                            "{{name}} {{instance}}",
                        ),
                    ),
                    runbook="ContainerThreadsNearLimit",
                ),
                Panel(
                    "Forks refused",
                    "Per second, at the limit of threads. Programs fail in ways that do not mention it.",
                    "short",
                    (
                        Query(
                            "topk(10, sum by (instance, engine, name) (rate(container_pids_max_events_total[$__rate_interval])))",
                            "{{name}} {{instance}}",
                        ),
                    ),
                    runbook="ContainerForksRefused",
                ),
            ),
        ),
    ),
)
