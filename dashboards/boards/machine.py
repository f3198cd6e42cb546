"""Limits of the machine itself, which all containers share."""

from __future__ import annotations

from dashboards.panel import Board, Panel, Query, Row


def _share(used: str, most: str, title: str, text: str, runbook: str, why: str = "") -> Panel:
    expr = f"{used} / ({most} > 0)"
    return Panel(
        title,
        text,
        "percentunit",
        (Query(expr, "{{instance}}"),),
        scope="machine",
        runbook=runbook,
        may_be_empty=why,
        most=1,
    )


def _stalled(resource: str, line: str) -> Query:
    return Query(
        f"rate(machine_pressure_{resource}_{line}_seconds_total[$__rate_interval])", f"{resource} {{{{instance}}}}"
    )


BOARD = Board(
    uid="cgscope-machine",
    title="Containers / Machine limits",
    text="What all containers of a machine share: ids, threads, connections, file handles, memory, and who waits for it.",
    rows=(
        Row(
            "Limits",
            (
                _share(
                    "machine_threads",
                    "machine_pid_max",
                    "Thread ids",
                    "When none is left, nothing can start, not even a shell to look.",
                    "MachineThreadsNearPidMax",
                ),
                _share(
                    "machine_threads",
                    "machine_threads_max",
                    "Threads",
                    "kernel.threads-max bounds all threads together.",
                    "MachineThreadsNearMaximum",
                ),
                _share(
                    "machine_conntrack_entries",
                    "machine_conntrack_max",
                    "Tracked connections",
                    "When the table is full, new connections are dropped without an answer.",
                    "MachineConntrackNearMaximum",
                    "the kernel has no connection tracking",
                ),
                _share(
                    "machine_file_handles",
                    "machine_file_handles_max",
                    "File handles",
                    "fs.file-max bounds all open files together.",
                    "MachineFileHandlesNearMaximum",
                ),
            ),
        ),
        Row(
            "Memory and pressure",
            (
                Panel(
                    "Memory",
                    "What the machine has, and what can be had without swapping.",
                    "bytes",
                    (
                        Query("machine_memory_available_bytes", "available {{instance}}"),
                        Query("machine_memory_dirty_bytes", "to be written {{instance}}"),
                        Query("machine_memory_slab_bytes", "slab {{instance}}"),
                        Query("machine_memory_bytes", "all {{instance}}", limit=True),
                    ),
                    scope="machine",
                    runbook="MachineMemoryLow",
                ),
                Panel(
                    "All tasks wait",
                    "Share of time in which all tasks that had work waited.",
                    "percentunit",
                    (_stalled("memory", "stalled"), _stalled("io", "stalled")),
                    scope="machine",
                    runbook="MachineMemoryPressure",
                    may_be_empty="PSI is off",
                ),
                Panel(
                    "Some task waits",
                    "Share of time in which at least one task waited.",
                    "percentunit",
                    (_stalled("cpu", "waiting"), _stalled("memory", "waiting"), _stalled("io", "waiting")),
                    scope="machine",
                    may_be_empty="PSI is off",
                ),
                Panel(
                    "Dying cgroups",
                    "Removed cgroups that are still in the kernel, kept by their memory.",
                    "short",
                    (Query('container_cgroup_dying_descendants{id="/"}', "{{instance}}"),),
                    scope="machine",
                    runbook="MachineDyingCgroups",
                    may_be_empty="cgroup v1 does not count them",
                ),
            ),
        ),
    ),
)
