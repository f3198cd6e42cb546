"""Kubernetes: pods and their containers."""

from __future__ import annotations

from dashboards.panel import Board, Panel, Query, Row, Unit

_NONE = "no pods on these machines"


def _pods(title: str, text: str, unit: Unit, expr: str, runbook: str = "", why: str = _NONE) -> Panel:
    return Panel(
        title,
        text,
        unit,
        (Query(expr, "{{namespace}}/{{pod}} {{container}}"),),
        scope="pods",
        runbook=runbook,
        may_be_empty=why,
    )


_BY = "by (instance, namespace, pod, container)"

BOARD = Board(
    uid="cgscope-kubernetes",
    title="Containers / Kubernetes pods",
    text="Pods by namespace, with their containers. Series of a pod itself have no container.",
    choices=("namespace", "pod"),
    rows=(
        Row(
            "Pods",
            (
                Panel(
                    "Pods",
                    "Memory and threads of each container, and of its limits.",
                    "bytes",
                    (
                        Query(f'max {_BY} (container_memory_working_set_bytes{{container!=""}})', "Working set"),
                        Query(f'max {_BY} (container_effective_memory_limit_bytes{{container!=""}} > 0)', "Limit"),
                        Query(f'max {_BY} (container_threads{{container!=""}})', "Threads", unit="short"),
                    ),
                    "table",
                    "pods",
                    24,
                    8,
                    may_be_empty=_NONE,
                ),
                _pods(
                    "CPU",
                    "CPUs in use by each container.",
                    "short",
                    f'sum {_BY} (rate(container_cpu_usage_seconds_total{{container!=""}}[$__rate_interval]))',
                ),
                _pods(
                    "Throttled",
                    "Periods in which the quota was used up.",
                    "percentunit",
                    f'sum {_BY} (rate(container_cpu_cfs_throttled_periods_total{{container!=""}}[$__rate_interval]))'
                    f' / sum {_BY} (rate(container_cpu_cfs_periods_total{{container!=""}}[$__rate_interval]))',
                    "ContainerCpuThrottled",
                    "no container of a pod has a quota",
                ),
                _pods(
                    "Memory",
                    "Working set of the least limit of all levels.",
                    "percentunit",
                    f'max {_BY} (container_memory_working_set_bytes{{container!=""}} / (container_effective_memory_limit_bytes > 0))',
                    "ContainerWorkingSetNearLimit",
                ),
                _pods(
                    "OOM kills",
                    "In the time that a point stands for.",
                    "short",
                    f'sum {_BY} (increase(container_oom_kills_total{{container!=""}}[$__rate_interval]))',
                    "ContainerOomKilled",
                ),
                _pods(
                    "Network",
                    "Bytes received per second; the pod has the network.",
                    "binBps",
                    "sum by (instance, namespace, pod) (rate(container_network_receive_bytes_total[$__rate_interval]))",
                    why="pods in the host's network",
                ),
                _pods(
                    "Threads",
                    "Threads of each pod.",
                    "short",
                    'max by (instance, namespace, pod) (container_threads{container=""})',
                ),
            ),
        ),
    ),
)
