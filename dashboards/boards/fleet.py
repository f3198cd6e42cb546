"""Many machines: who waits most, who is near a limit, who is throttled, who was killed."""

from __future__ import annotations

from dashboards.panel import Board, Panel, Query, Row

_NO_CONNTRACK = "the kernel has no connection tracking"
_NO_PSI = "this kernel accounts no pressure for cgroups (PSI off, or cgroup v1 alone)"


def _top(expr: str, by: str = "instance, engine, name") -> str:
    return f"topk(10, sum by ({by}) ({expr}))"


BOARD = Board(
    uid="cgscope-fleet",
    title="Containers / Fleet",
    text="All machines at a glance: the worst ten of each kind.",
    choices=("engine", "name"),
    rows=(
        Row(
            "Now",
            (
                Panel(
                    "Machines",
                    "Exporters that answer. Fewer than expected: look at ExporterDown.",
                    "short",
                    (Query("count(cgroup_exporter_build_info)", "machines"),),
                    "stat",
                    "machine",
                    4,
                    4,
                    "ExporterDown",
                ),
                Panel(
                    "Containers",
                    "Containers that are there.",
                    "short",
                    (Query("count(container_last_seen)", "containers"),),
                    "stat",
                    "containers",
                    4,
                    4,
                ),
                Panel(
                    "CPU in use",
                    "Of all CPUs of these machines.",
                    "percentunit",
                    (
                        Query(
                            'sum(rate(container_cpu_usage_seconds_total{id="/"}[$__rate_interval])) / sum(machine_cpu_cores)',
                            "CPU",
                        ),
                    ),
                    "stat",
                    "machine",
                    4,
                    4,
                ),
                Panel(
                    "Memory available",
                    "What can be had without swapping, of all memory.",
                    "percentunit",
                    (Query("sum(machine_memory_available_bytes) / sum(machine_memory_bytes)", "available"),),
                    "stat",
                    "machine",
                    4,
                    4,
                    "MachineMemoryLow",
                ),
                Panel(
                    "OOM kills",
                    "Processes that the kernel killed for want of memory in the time shown, everywhere.",
                    "short",
                    (Query("sum(increase(machine_oom_kills_total[$__range]))", "kills"),),
                    "stat",
                    "machine",
                    4,
                    4,
                    "MachineOomKilled",
                ),
                Panel(
                    "Collectors that fail",
                    "Parts of exporters that could not say what they should. The exporter's log says why.",
                    "short",
                    (Query("count(cgroup_exporter_collector_success == 0) or vector(0)", "failing"),),
                    "stat",
                    "machine",
                    4,
                    4,
                    "ExporterCollectorFailed",
                ),
            ),
        ),
        Row(
            "Who waits",
            (
                Panel(
                    "Waiting for memory",
                    "Share of time in which all tasks waited for memory: the working set does not fit. Raise the limit, or find what grew.",
                    "percentunit",
                    (
                        Query(
                            _top("rate(container_pressure_memory_stalled_seconds_total[$__rate_interval])"),
                            "{{name}} {{instance}}",
                        ),
                    ),
                    runbook="ContainerMemoryPressure",
                    may_be_empty=_NO_PSI,
                ),
                Panel(
                    "Waiting for CPU",
                    "Share of time in which some task waited for a CPU. Together with throttling: raise the quota; without: the machine is full.",
                    "percentunit",
                    (
                        Query(
                            _top("rate(container_pressure_cpu_waiting_seconds_total[$__rate_interval])"),
                            "{{name}} {{instance}}",
                        ),
                    ),
                    runbook="ContainerCpuPressure",
                    may_be_empty=_NO_PSI,
                ),
                Panel(
                    "Waiting for disks",
                    "Share of time in which all tasks waited for disks.",
                    "percentunit",
                    (
                        Query(
                            _top("rate(container_pressure_io_stalled_seconds_total[$__rate_interval])"),
                            "{{name}} {{instance}}",
                        ),
                    ),
                    runbook="ContainerIoPressure",
                    may_be_empty=_NO_PSI,
                ),
                Panel(
                    "Throttled",
                    "Periods in which the CPU quota was used up before they ended, of all that ran. Above a quarter, latency suffers.",
                    "percentunit",
                    (
                        Query(
                            "topk(10, sum by (instance, engine, name) (rate(container_cpu_cfs_throttled_periods_total[$__rate_interval]))"
                            " / sum by (instance, engine, name) (rate(container_cpu_cfs_periods_total[$__rate_interval])))",
                            "{{name}} {{instance}}",
                        ),
                    ),
                    runbook="ContainerCpuThrottled",
                ),
            ),
        ),
        Row(
            "Who uses what",
            (
                Panel(
                    "Memory headroom",
                    "Memory that is left below the tightest limit of all levels, with what could be reclaimed. The ten with least.",
                    "bytes",
                    (
                        Query(
                            "bottomk(10, sum by (instance, engine, name) (container_effective_memory_available_bytes))",
                            "{{name}} {{instance}}",
                        ),
                    ),
                    runbook="ContainerMemoryNearLimit",
                ),
                Panel(
                    "Anonymous memory",
                    "What cannot be dropped. The ten with most.",
                    "bytes",
                    (Query(_top("container_memory_rss"), "{{name}} {{instance}}"),),
                ),
                Panel(
                    "CPU",
                    "CPUs in use. The ten with most.",
                    "short",
                    (
                        Query(
                            _top("rate(container_cpu_usage_seconds_total[$__rate_interval])"), "{{name}} {{instance}}"
                        ),
                    ),
                ),
                Panel(
                    "Disk",
                    "Bytes read and written per second. The ten with most.",
                    "binBps",
                    (
                        Query(
                            "topk(10, sum by (instance, engine, name) (rate(container_fs_reads_bytes_total[$__rate_interval]))"
                            " + sum by (instance, engine, name) (rate(container_fs_writes_bytes_total[$__rate_interval])))",
                            "{{name}} {{instance}}",
                        ),
                    ),
                    may_be_empty="no container has touched a disk since its cgroup was made",
                ),
            ),
        ),
    ),
)
