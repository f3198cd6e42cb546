"""The machine: sizes, and what is finite for all containers together: threads, connections, file handles, memory."""

from __future__ import annotations

from cgroup_model.snapshot import Pressure
from exporters.families import pressure
from exporters.metric import Family, Group, counter, gauge
from exporters.readers.machine import MachineReading
from exporters.subject import Machine


def _machine(machine: Machine) -> MachineReading | None:
    return machine.reading


def _pressure(machine: Machine) -> Pressure | None:
    return machine.reading.pressure if machine.reading is not None else None


_NUMBERS = (
    gauge("machine_cpu_cores", "CPUs that are online.", "cpu_cores"),
    gauge("machine_cpu_physical_cores", "Physical cores.", "cpu_physical_cores"),
    gauge("machine_cpu_sockets", "CPU sockets.", "cpu_sockets"),
    gauge("machine_boot_time_seconds", "When the machine booted, seconds of the epoch.", "boot_epoch"),
    gauge("machine_memory_bytes", "Memory.", "memory_bytes"),
    gauge("machine_memory_free_bytes", "Memory that nothing uses.", "memory_free_bytes"),
    gauge("machine_memory_available_bytes", "Memory that can be had without swapping.", "memory_available_bytes"),
    gauge("machine_memory_dirty_bytes", "Page cache that must be written before it can go.", "memory_dirty_bytes"),
    gauge("machine_memory_slab_bytes", "Kernel objects.", "memory_slab_bytes"),
    gauge("machine_swap_bytes", "Swap.", "swap_bytes"),
    gauge("machine_swap_free_bytes", "Swap that is free.", "swap_free_bytes"),
    gauge("machine_threads", "Threads of all processes.", "threads"),
    gauge("machine_threads_running", "Threads that run or wait for a CPU.", "threads_running"),
    gauge("machine_threads_max", "Most threads that can be.", "threads_max"),
    gauge("machine_pid_max", "Process and thread ids are below this.", "pid_max"),
    gauge("machine_conntrack_entries", "Tracked connections in this network namespace.", "conntrack_entries"),
    gauge("machine_conntrack_max", "Most tracked connections in each network namespace.", "conntrack_max"),
    gauge("machine_file_handles", "Open file handles.", "file_handles"),
    gauge("machine_file_handles_max", "Most file handles that can be open.", "file_handles_max"),
    counter("machine_oom_kills_total", "Processes that the OOM killer ended since boot.", "oom_kills"),
)

FAMILIES = (
    Family(
        "machine",
        "The machine",
        (
            Group(MachineReading, _machine, _NUMBERS, origin="/proc, /sys"),
            *pressure.groups("machine", _pressure, averages=False, origin="/proc/pressure"),
        ),
        of="machine",
    ),
)
