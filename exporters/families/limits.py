"""Effective limits: the least of the cgroup's own and every ancestor's, and what is left at the tightest level.

A container without a limit of its own in a pod with one is limited; its own files do not say so.
"""

from __future__ import annotations

from cgroup_model.snapshot import MemoryBounds, Need, Pids, ShownCpus
from exporters.metric import Family, Group, count, cpus_limit, gauge, limit
from exporters.subject import Subject


def _bounds(subject: Subject) -> MemoryBounds | None:
    return subject.snapshot.memory_bounds


def _cpus(subject: Subject) -> ShownCpus | None:
    return subject.snapshot.cpus


def _pids(subject: Subject) -> Pids | None:
    return subject.snapshot.pids


FAMILIES = (
    Family(
        "limits",
        "Effective limits: own and ancestors'",
        (
            Group(
                MemoryBounds,
                _bounds,
                (
                    gauge(
                        "container_effective_memory_limit_bytes", "Least limit of all levels; 0: none.", "max", limit
                    ),
                    gauge("container_effective_memory_high_bytes", "Least throttling limit; 0: none.", "high", limit),
                    gauge(
                        "container_effective_memory_free_bytes", "Left below the limit of the tightest level.", "free"
                    ),
                    gauge(
                        "container_effective_memory_available_bytes",
                        "The same with what the kernel could reclaim there: page cache and reclaimable slab.",
                        "available",
                    ),
                    gauge(
                        "container_effective_memory_available_working_set_bytes",
                        "The same, with active page cache counted as used.",
                        "available_working_set",
                    ),
                    gauge("container_effective_swap_limit_bytes", "Least limit of swap; 0: none.", "swap_max", limit),
                    gauge("container_effective_swap_free_bytes", "Swap left at the tightest level.", "swap_free"),
                ),
                origin="the files of memory, swap and their limits at every level",
            ),
            Group(
                ShownCpus,
                _cpus,
                (
                    gauge(
                        "container_effective_cpu_limit_cores",
                        "Least quota, in CPUs; 0: none.",
                        "quota_cpus",
                        cpus_limit,
                    ),
                    gauge(
                        "container_effective_cpuset_cpus",
                        "CPUs that tasks may use and that are online.",
                        "usable",
                        count,
                    ),
                ),
                origin="quota and period at every level; cpuset and online CPUs",
            ),
            Group(
                Pids,
                _pids,
                (gauge("container_effective_threads_max", "Least limit of threads; 0: none.", "effective_max", limit),),
                origin="the limit of tasks at every level",
            ),
        ),
        needs=Need.MEMORY | Need.CPUS | Need.CPU | Need.PIDS,
        parts=("memory_bounds", "cpus", "pids"),
    ),
)
