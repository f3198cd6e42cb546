"""The virtual proc's own health."""

from __future__ import annotations

from dashboards.panel import Board, Panel, Query, Row, Unit

_BY = "by (instance, mountpoint)"
_PLACE = "{{mountpoint}} {{instance}}"
_WELL = "nothing has gone wrong"
_NO_WATCHER = "mount --attach is not used"


def _stat(title: str, text: str, expr: str, runbook: str = "", why: str = "") -> Panel:
    return Panel(title, text, "short", (Query(expr, _PLACE),), "stat", "machine", 6, 4, runbook, why)


def _lines(title: str, text: str, unit: Unit, expr: str, legend: str, runbook: str = "", why: str = "") -> Panel:
    return Panel(title, text, unit, (Query(expr, legend),), scope="machine", runbook=runbook, may_be_empty=why)


BOARD = Board(
    uid="cgscope-virtual-proc",
    title="Containers / Virtual proc",
    text="procfs-fuse itself: whether it answers, what it costs, and what it could not tell. The exporter has to run as root.",
    rows=(
        Row(
            "Now",
            (
                _stat(
                    "Alive",
                    "1: the process that holds the mounts answers. 0: containers cannot read the files they have from it.",
                    f"min {_BY} (procfs_fuse_up)",
                    "VirtualProcDown",
                ),
                _stat(
                    "Served",
                    "1: a worker answers. 0: reads wait, and fail after five seconds.",
                    f"min {_BY} (procfs_fuse_serving)",
                    "VirtualProcNotServed",
                ),
                _stat("Containers", "Containers that it can answer for.", f"max {_BY} (procfs_fuse_containers)"),
                _stat(
                    "Passthrough",
                    "1: containers are shown the machine's values, since somebody said so.",
                    f"max {_BY} (procfs_fuse_passthrough)",
                    "VirtualProcPassthrough",
                ),
            ),
        ),
        Row(
            "Work",
            (
                _lines(
                    "Requests by connection",
                    "Requests of the kernel per second. What its page cache answers is not among them: those cost nothing.",
                    "short",
                    "sum by (instance, mountpoint, connection) (rate(procfs_fuse_requests_total[$__rate_interval]))",
                    "{{connection}} " + _PLACE,
                ),
                _lines(
                    "Requests by operation",
                    "A read of a file is an open, two reads and a release; the second read tells that it ends there.",
                    "short",
                    "topk(8, sum by (instance, mountpoint, operation) "
                    "(rate(procfs_fuse_requests_total[$__rate_interval])))",
                    "{{operation}} " + _PLACE,
                ),
                _lines(
                    "CPU",
                    "CPUs that its processes use. The worker's grows with requests; the others' should be next to nothing.",
                    "short",
                    "rate(procfs_fuse_process_cpu_seconds_total[$__rate_interval])",
                    "{{process}} " + _PLACE,
                ),
                _lines(
                    "CPU time of a request",
                    "CPU seconds of the worker for each request, upkeep included: high where there are few requests.",
                    "s",
                    f'sum {_BY} (rate(procfs_fuse_process_cpu_seconds_total{{process="worker"}}[$__rate_interval]))'
                    f" / (sum {_BY} (rate(procfs_fuse_requests_total[$__rate_interval])) > 0)",
                    _PLACE,
                    why="nobody reads anything",
                ),
                _lines(
                    "Memory",
                    "Memory of its processes. What they share, most of it, counts for each.",
                    "bytes",
                    "procfs_fuse_process_resident_memory_bytes",
                    "{{process}} " + _PLACE,
                ),
                Panel(
                    "Open files and descriptors",
                    "Virtual files that are open, and descriptors of the worker. Both should follow the containers, not time.",
                    "short",
                    (
                        Query("procfs_fuse_open_files", "open files " + _PLACE),
                        Query("procfs_fuse_open_descriptors", "descriptors " + _PLACE),
                    ),
                    scope="machine",
                ),
            ),
        ),
        Row(
            "Survival",
            (
                _lines(
                    "Workers",
                    "One serves, one stands by. Less than two for long: new ones do not start.",
                    "short",
                    "procfs_fuse_workers",
                    _PLACE,
                    "VirtualProcNotServed",
                ),
                Panel(
                    "Takeovers",
                    "Times that another worker went on serving, and how many of those before it hung. No read fails by it.",
                    "short",
                    (
                        Query(
                            "increase(procfs_fuse_worker_replacements_total[$__rate_interval])", "takeovers " + _PLACE
                        ),
                        Query("increase(procfs_fuse_workers_hung_total[$__rate_interval])", "hung " + _PLACE),
                    ),
                    scope="machine",
                    runbook="VirtualProcWorkersDying",
                ),
                Panel(
                    "Attached containers",
                    "Containers that got the files while they ran, and those that should have and could not.",
                    "short",
                    (
                        Query("procfs_fuse_attached_containers", "attached " + _PLACE),
                        Query("procfs_fuse_unattached_containers", "not attached " + _PLACE),
                    ),
                    scope="machine",
                    runbook="VirtualProcUnattached",
                    may_be_empty=_NO_WATCHER,
                ),
                _lines(
                    "Records not kept",
                    "What the next worker would have to know found no room: too many open files. It asks anew, then.",
                    "short",
                    "increase(procfs_fuse_records_not_kept_total[$__rate_interval])",
                    _PLACE,
                ),
            ),
        ),
        Row(
            "Truth",
            (
                _lines(
                    "Answers that were not the container's own",
                    "A last good value or the machine's was shown instead, with the reason. Should be empty.",
                    "short",
                    "sum by (instance, mountpoint, file, reason) (increase(procfs_fuse_fallbacks_total[$__rate_interval]))",
                    "{{file}}: {{reason}} " + _PLACE,
                    "VirtualProcFallbacks",
                    _WELL,
                ),
                _lines(
                    "Unreadable parts",
                    "Parts of containers that control files did not tell, with the reason.",
                    "short",
                    "sum by (instance, mountpoint, part, reason) "
                    "(increase(procfs_fuse_read_problems_total[$__rate_interval]))",
                    "{{part}}: {{reason}} " + _PLACE,
                    "VirtualProcFallbacks",
                    _WELL,
                ),
                _lines(
                    "Failures",
                    "Requests that failed in the server itself, which readers saw as I/O errors. Should be empty.",
                    "short",
                    "sum by (instance, mountpoint, kind) (increase(procfs_fuse_errors_total[$__rate_interval]))",
                    "{{kind}} " + _PLACE,
                    "VirtualProcFailing",
                    _WELL,
                ),
                _lines(
                    "System calls answered by the agent",
                    "sysinfo(2) and sched_getaffinity(2) of containers; continued: left to the kernel.",
                    "short",
                    "sum by (instance, outcome) (rate(procfs_fuse_agent_calls_total[$__rate_interval]))",
                    "{{outcome}} {{instance}}",
                    why="no agent runs",
                ),
            ),
        ),
    ),
)
