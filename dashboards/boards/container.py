"""One container in depth."""

from __future__ import annotations

from dashboards.panel import Board, Panel, Query, Row

_NO_PSI = "this kernel accounts no pressure for cgroups (PSI off, or cgroup v1 alone)"
_V2 = "cgroup v1 does not count this"


def _rate(metric: str) -> str:
    return f"rate({metric}[$__rate_interval])"


BOARD = Board(
    uid="cgscope-container",
    title="Containers / One container",
    text="Everything about one cgroup, with its limits drawn in.",
    choices=("id",),
    rows=(
        Row(
            "CPU",
            (
                Panel(
                    "CPU",
                    "CPUs in use, by mode, and the least quota of all levels. At the quota, tasks are throttled.",
                    "short",
                    (
                        Query(_rate("container_cpu_user_seconds_total"), "user"),
                        Query(_rate("container_cpu_system_seconds_total"), "kernel"),
                        Query(_rate("container_cpu_usage_seconds_total"), "all"),
                        Query("container_effective_cpu_limit_cores > 0", "quota", limit=True),
                    ),
                    scope="container",
                ),
                Panel(
                    "Throttling",
                    "Periods in which the quota was used up, of all that ran.",
                    "percentunit",
                    (
                        Query(
                            f"{_rate('container_cpu_cfs_throttled_periods_total')} / {_rate('container_cpu_cfs_periods_total')}",
                            "throttled",
                        ),
                    ),
                    scope="container",
                    runbook="ContainerCpuThrottled",
                    may_be_empty="it has no quota",
                ),
            ),
        ),
        Row(
            "Memory",
            (
                Panel(
                    "Memory",
                    "What it has, and its limit. At the limit the kernel reclaims, then kills: page cache can go, anonymous memory cannot.",
                    "bytes",
                    (
                        Query("container_memory_usage_bytes", "in use"),
                        Query("container_memory_working_set_bytes", "working set"),
                        Query("container_memory_rss", "anonymous"),
                        Query("container_memory_cache", "page cache"),
                        Query("container_effective_memory_limit_bytes > 0", "limit", limit=True),
                        Query("container_effective_memory_high_bytes > 0", "high", limit=True),
                    ),
                    scope="container",
                    runbook="ContainerMemoryNearLimit",
                ),
                Panel(
                    "Kernel memory",
                    "Memory that the kernel uses for it. Growing slab: files or sockets without end.",
                    "bytes",
                    (
                        Query("container_memory_kernel_usage", "all"),
                        Query("container_memory_slab_bytes", "slab"),
                        Query("container_memory_kernel_stack_bytes", "stacks"),
                        Query("container_memory_pagetables_bytes", "page tables"),
                        Query("container_memory_sock_bytes", "sockets"),
                    ),
                    scope="container",
                    runbook="ContainerKernelMemoryGrowing",
                    may_be_empty=_V2,
                ),
                Panel(
                    "Refaults",
                    "Pages per second that were needed again soon after they had been dropped: the cache is too small.",
                    "short",
                    (
                        Query(_rate("container_memory_workingset_refault_file_total"), "files"),
                        Query(_rate("container_memory_workingset_refault_anon_total"), "anonymous"),
                    ),
                    scope="container",
                    runbook="ContainerMemoryPressure",
                    may_be_empty="the kernel does not count refaults",
                ),
                Panel(
                    "Events",
                    "Times that the limit was hit, and processes killed, in the time that a point stands for.",
                    "short",
                    (
                        Query("increase(container_memory_events_total[$__rate_interval])", "{{event}}"),
                        Query("increase(container_oom_kills_total[$__rate_interval])", "OOM kills"),
                    ),
                    scope="container",
                    runbook="ContainerOomKilled",
                ),
            ),
        ),
        Row(
            "Waiting and threads",
            (
                Panel(
                    "Waiting",
                    "Share of time in which some task waited.",
                    "percentunit",
                    tuple(
                        Query(_rate(f"container_pressure_{one}_waiting_seconds_total"), f"for {one}")
                        for one in ("cpu", "memory", "io")
                    ),
                    scope="container",
                    may_be_empty=_NO_PSI,
                ),
                Panel(
                    "Threads",
                    "Threads, and the least limit of all levels. At the limit, fork fails.",
                    "short",
                    (
                        Query("container_threads", "threads"),
                        Query("container_effective_threads_max > 0", "limit", limit=True),
                    ),
                    scope="container",
                    runbook="ContainerThreadsNearLimit",
                ),
            ),
        ),
        Row(
            "Disk and network",
            (
                Panel(
                    "Disk",
                    "Bytes per second, by device.",
                    "binBps",
                    (
                        Query(_rate("container_fs_reads_bytes_total"), "read {{device}}"),
                        Query(_rate("container_fs_writes_bytes_total"), "written {{device}}"),
                    ),
                    scope="container",
                    may_be_empty="it has not touched a disk",
                ),
                Panel(
                    "Network",
                    "Bytes per second, by interface. Containers of a pod share a network: the pod tells it.",
                    "binBps",
                    (
                        Query(_rate("container_network_receive_bytes_total"), "received {{interface}}"),
                        Query(_rate("container_network_transmit_bytes_total"), "sent {{interface}}"),
                    ),
                    scope="container",
                    may_be_empty="it has no network of its own",
                ),
            ),
        ),
    ),
)
