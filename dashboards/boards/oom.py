"""The OOM ledger: every kill, counted by the kernel's own counters."""

from __future__ import annotations

from dashboards.panel import Board, Panel, Query, Row

BOARD = Board(
    uid="cgscope-oom",
    title="Containers / OOM ledger",
    text="Who was killed for want of memory, and how the sum closes.",
    choices=("engine", "name"),
    span="now-24h",
    rows=(
        Row(
            "Kills",
            (
                Panel(
                    "By container",
                    "Kills in the time shown, also of containers that are gone. At the limit: raise it or find the leak; without one: the machine is full.",
                    "short",
                    (
                        Query(
                            "sum by (instance, engine, namespace, pod, name) (increase(container_oom_kills_total[$__range])) > 0",
                            "Kills",
                        ),
                        Query(
                            "max by (instance, engine, namespace, pod, name) (container_oom_last_kill_time_seconds) * 1000",
                            "Last",
                            unit="dateTimeFromNow",
                        ),
                    ),
                    "table",
                    width=24,
                    height=10,
                    runbook="ContainerOomKilled",
                ),
                Panel(
                    "Kills",
                    "In the time that a point stands for, by container.",
                    "short",
                    (
                        Query(
                            "sum by (instance, name) (increase(container_oom_kills_total[$__rate_interval])) > 0",
                            "{{name}} {{instance}}",
                        ),
                    ),
                    runbook="ContainerOomKilled",
                ),
                Panel(
                    "The sum",
                    "Kills since the ledger began: in known cgroups, and in none. Unattributed ones were in cgroups that came and went unseen.",
                    "short",
                    (
                        Query(
                            "sum by (instance) (increase(machine_oom_kills_attributed_total[$__rate_interval]))",
                            "attributed {{instance}}",
                        ),
                        Query(
                            "sum by (instance) (increase(machine_oom_kills_unattributed_total[$__rate_interval]))",
                            "unattributed {{instance}}",
                        ),
                    ),
                    scope="machine",
                    runbook="MachineOomKilled",
                ),
            ),
        ),
        Row(
            "Who is next",
            (
                Panel(
                    "Anonymous memory of the limit",
                    "What cannot be reclaimed, of the least limit of all levels. Near 100 % the next page kills.",
                    "percentunit",
                    (
                        Query(
                            "topk(10, max by (instance, engine, name) (container_memory_rss / (container_effective_memory_limit_bytes > 0)))",
                            "{{name}} {{instance}}",
                        ),
                    ),
                    runbook="ContainerMemoryNearLimit",
                ),
                Panel(
                    "Limit hit",
                    "How often memory use ran into the limit, per second.",
                    "short",
                    (
                        Query(
                            "topk(10, sum by (instance, engine, name) (rate(container_memory_failcnt[$__rate_interval])))",
                            "{{name}} {{instance}}",
                        ),
                    ),
                    runbook="ContainerMemoryNearLimit",
                ),
            ),
        ),
    ),
)
