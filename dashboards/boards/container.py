"""One container in depth."""

from __future__ import annotations

from dashboards.panel import Board, Panel, Query, Row, Unit

_NO_PSI = "this kernel accounts no pressure for cgroups (PSI off, or cgroup v1 alone)"
_V2 = "cgroup v1 does not count this"


def _rate(metric: str) -> str:
    return f"rate({metric}[$__rate_interval])"


def _panel(title: str, text: str, unit: Unit, *queries: Query, runbook: str = "", why: str = "") -> Panel:
    return Panel(title, text, unit, queries, scope="container", runbook=runbook, may_be_empty=why)


BOARD = Board(
    uid="cgscope-container",
    title="Containers / One container",
    text="Everything about one cgroup, with its limits drawn in.",
    choices=("id",),
    rows=(
        Row(
            "CPU",
            (
                _panel(
                    "CPU",
                    "CPUs in use, by mode, and the least quota of all levels. At the quota, tasks are throttled.",
                    "short",
                    Query(_rate("container_cpu_user_seconds_total"), "user"),
                    Query(_rate("container_cpu_system_seconds_total"), "kernel"),
                    Query(_rate("container_cpu_usage_seconds_total"), "all"),
                    Query("container_effective_cpu_limit_cores > 0", "quota", limit=True),
                ),
                _panel(
                    "Throttling",
                    "Periods in which the quota was used up, of all that ran.",
                    "percentunit",
                    Query(
                        f"{_rate('container_cpu_cfs_throttled_periods_total')} / {_rate('container_cpu_cfs_periods_total')}",
                        "throttled",
                    ),
                    runbook="ContainerCpuThrottled",
                    why="it has no quota",
                ),
            ),
        ),
        Row(
            "Memory",
            (
                _panel(
                    "Memory",
                    "What it has, and its limit. At the limit the kernel reclaims, then kills: page cache can go, anonymous memory cannot.",
                    "bytes",
                    Query("container_memory_usage_bytes", "in use"),
                    Query("container_memory_working_set_bytes", "working set"),
                    Query("container_memory_rss", "anonymous"),
                    Query("container_memory_cache", "page cache"),
                    Query("container_effective_memory_limit_bytes > 0", "limit", limit=True),
                    Query("container_effective_memory_high_bytes > 0", "high", limit=True),
                    runbook="ContainerMemoryNearLimit",
                ),
                _panel(
                    "Kernel memory",
                    "Memory that the kernel uses for it. Growing slab: files or sockets without end.",
                    "bytes",
                    Query("container_memory_kernel_usage", "all"),
                    Query("container_memory_slab_bytes", "slab"),
                    Query("container_memory_kernel_stack_bytes", "stacks"),
                    Query("container_memory_pagetables_bytes", "page tables"),
                    Query("container_memory_sock_bytes", "sockets"),
                    runbook="ContainerKernelMemoryGrowing",
                    why=_V2,
                ),
                _panel(
                    "Refaults",
                    "Pages per second that were needed again soon after they had been dropped: the cache is too small.",
                    "short",
                    Query(_rate("container_memory_workingset_refault_file_total"), "files"),
                    Query(_rate("container_memory_workingset_refault_anon_total"), "anonymous"),
                    runbook="ContainerMemoryPressure",
                    why="the kernel does not count refaults",
                ),
                _panel(
                    "Events",
                    "Times that the limit was hit, and processes killed, in the time that a point stands for.",
                    "short",
                    Query("increase(container_memory_events_total[$__rate_interval])", "{{event}}"),
                    Query("increase(container_oom_kills_total[$__rate_interval])", "OOM kills"),
                    runbook="ContainerOomKilled",
                ),
            ),
        ),
        Row(
            "Waiting and threads",
            (
                _panel(
                    "Waiting",
                    "Share of time in which some task waited.",
                    "percentunit",
                    *(
                        Query(_rate(f"container_pressure_{one}_waiting_seconds_total"), f"for {one}")
                        for one in ("cpu", "memory", "io")
                    ),
                    why=_NO_PSI,
                ),
                _panel(
                    "Threads",
                    "Threads, and the least limit of all levels. At the limit, fork fails.",
                    "short",
                    Query("container_threads", "threads"),
                    Query("container_effective_threads_max > 0", "limit", limit=True),
                    runbook="ContainerThreadsNearLimit",
                ),
            ),
        ),
        Row(
            "Disk and network",
            (
                _panel(
                    "Disk",
                    "Bytes per second, by device.",
                    "binBps",
                    Query(_rate("container_fs_reads_bytes_total"), "read {{device}}"),
                    Query(_rate("container_fs_writes_bytes_total"), "written {{device}}"),
                    why="it has not touched a disk",
                ),
                _panel(
                    "Network",
                    "Bytes per second, by interface. Containers of a pod share a network: the pod tells it.",
                    "binBps",
                    Query(_rate("container_network_receive_bytes_total"), "received {{interface}}"),
                    Query(_rate("container_network_transmit_bytes_total"), "sent {{interface}}"),
                    why="it has no network of its own",
                ),
            ),
        ),
    ),
)
