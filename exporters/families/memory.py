"""Memory: usage, limits, events, and what it consists of.

Kernel: mm/memcontrol.c; Documentation/admin-guide/cgroup-v2.rst, "Memory". cAdvisor's names where it has one.
"""

from __future__ import annotations

from typing import Final

from cgroup_model.snapshot import Memory, MemoryEvents, MemoryStat, Need, SwapEvents
from exporters.metric import Column, Family, Group, counter, flag, gauge, limit, untyped
from exporters.subject import Subject

_WORKING_SET: Final = ("current", "stat.inactive_file")


def _memory(subject: Subject) -> Memory | None:
    return subject.snapshot.memory


def _stat(subject: Subject) -> MemoryStat | None:
    memory = subject.snapshot.memory
    return None if memory is None else memory.stat


def _events(subject: Subject) -> MemoryEvents | None:
    memory = subject.snapshot.memory
    return None if memory is None else memory.events


def _events_local(subject: Subject) -> MemoryEvents | None:
    memory = subject.snapshot.memory
    # On v1 both are the same file: an OOM kill is counted in the victim's own cgroup only.
    return None if memory is None or memory.events_local is memory.events else memory.events_local


def _swap_events(subject: Subject) -> SwapEvents | None:
    memory = subject.snapshot.memory
    return None if memory is None else memory.swap_events


def _hits(subject: Subject) -> MemoryEvents | None:
    """Give v2's count of hits of the limit, where v1's is not there."""
    memory = subject.snapshot.memory
    return None if memory is None or memory.failcnt is not None else memory.events


def _event_columns(name: str, text: str) -> tuple[Column, ...]:
    kinds = ("low", "high", "max", "oom", "oom_kill", "oom_group_kill", "sock_throttled")
    return tuple(counter(name, text, kind, event=kind) for kind in kinds)


def _failures(path: str) -> tuple[Column, ...]:
    # cAdvisor gives both scopes the number of the subtree; boards ask for either.
    text = "Page faults of the cgroup and all below it, whichever the scope (as cAdvisor has it)."
    name = "container_memory_failures_total"
    return tuple(counter(name, text, path, failure_type=path, scope=scope) for scope in ("container", "hierarchy"))


_RESERVATION: Final = "Memory that is never reclaimed (v1: reclaimed last, the soft limit); 0: none."
_FAILCNT: Final = "How often memory use hit the limit."

_USAGE = (
    gauge("container_memory_usage_bytes", "Memory in use, page cache included.", "current"),
    gauge(
        "container_memory_working_set_bytes",
        "Memory in use without inactive file cache: kubelet's measure. Active file cache still counts.",
        "working_set",
        fields=_WORKING_SET,
    ),
    gauge("container_memory_swap", "Swap in use, bytes.", "swap_current"),
    gauge("container_memory_kernel_usage", "Memory that the kernel uses for the cgroup, bytes.", "kernel_current"),
    gauge("container_memory_max_usage_bytes", "Most memory that was ever in use.", "peak"),
    gauge("container_memory_swap_max_usage_bytes", "Most swap that was ever in use.", "swap_peak"),
    gauge("container_memory_zswap_bytes", "Memory that compressed swap takes.", "zswap_current"),
    untyped("container_memory_failcnt", _FAILCNT, "failcnt"),
    gauge("container_memory_under_oom", "1 while tasks wait because memory ran out (v1).", "under_oom", flag),
    gauge("container_spec_memory_limit_bytes", "Limit of memory; 0: none.", "max", limit),
    gauge("container_spec_memory_high_limit_bytes", "Above this the cgroup is throttled; 0: none.", "high", limit),
    gauge("container_spec_memory_low_bytes", "Memory that is reclaimed last; 0: none.", "low", limit),
    gauge("container_spec_memory_reservation_limit_bytes", _RESERVATION, "min", limit),
    gauge("container_spec_memory_reservation_limit_bytes", _RESERVATION, "soft_limit", limit),
    gauge("container_spec_memory_swap_limit_bytes", "Limit of swap alone; 0: none.", "swap_max", limit),
    gauge("container_spec_memory_swap_high_limit_bytes", "Above this swap is throttled; 0: none.", "swap_high", limit),
    gauge("container_spec_memory_zswap_limit_bytes", "Limit of compressed swap; 0: none.", "zswap_max", limit),
    gauge("container_spec_memory_oom_group", "1 when an OOM kill takes the whole cgroup.", "oom_group", flag),
    gauge(
        "container_spec_memory_oom_kill_disabled",
        "1 when tasks wait for memory instead of being killed (v1).",
        "oom_kill_disable",
        flag,
    ),
)

_FROM_STAT = (
    gauge("container_memory_rss", "Anonymous memory, bytes; transparent huge pages included.", "anon"),
    gauge("container_memory_cache", "Page cache, bytes; tmpfs and shared memory included.", "file"),
    gauge("container_memory_mapped_file", "Page cache that is mapped into address spaces, bytes.", "file_mapped"),
    gauge("container_memory_total_active_file_bytes", "Page cache that was used repeatedly.", "active_file"),
    gauge("container_memory_total_inactive_file_bytes", "Page cache that is reclaimed first.", "inactive_file"),
    gauge("container_memory_file_dirty_bytes", "Page cache that must be written before it can go.", "file_dirty"),
    gauge("container_memory_file_writeback_bytes", "Page cache that is being written.", "file_writeback"),
    *_failures("pgfault"),
    *_failures("pgmajfault"),
    counter("container_memory_pgscan_total", "Pages that reclaim looked at.", "pgscan"),
    counter("container_memory_pgsteal_total", "Pages that reclaim took.", "pgsteal"),
    counter(
        "container_memory_workingset_refault_file_total",
        "Pages of files that were read again soon after they had been dropped.",
        "workingset_refault_file",
    ),
    counter(
        "container_memory_workingset_refault_anon_total",
        "Anonymous pages that came back soon after they had been swapped out.",
        "workingset_refault_anon",
    ),
)

_EVENTS = (
    *_event_columns("container_memory_events_total", "Memory events of the cgroup and all below it."),
    counter("container_memory_events_high_total", "Times throttled above the high limit (cAdvisor's name).", "high"),
    counter("container_memory_events_max_total", "Times the limit was about to be exceeded (cAdvisor's name).", "max"),
)

_BREAKDOWN = (
    gauge("container_memory_active_anon_bytes", "Anonymous memory that was used recently.", "active_anon"),
    gauge("container_memory_inactive_anon_bytes", "Anonymous memory that is swapped first.", "inactive_anon"),
    gauge("container_memory_unevictable_bytes", "Memory that cannot be reclaimed: locked.", "unevictable"),
    gauge("container_memory_shmem_bytes", "Shared memory and tmpfs: page cache that can only be swapped.", "shmem"),
    gauge("container_memory_kernel_stack_bytes", "Kernel stacks of the tasks.", "kernel_stack"),
    gauge("container_memory_pagetables_bytes", "Page tables.", "pagetables"),
    gauge("container_memory_sec_pagetables_bytes", "Page tables of virtual machines and IOMMUs.", "sec_pagetables"),
    gauge("container_memory_percpu_bytes", "The kernel's per-CPU data.", "percpu"),
    gauge("container_memory_sock_bytes", "Network buffers.", "sock"),
    gauge("container_memory_vmalloc_bytes", "vmalloc areas.", "vmalloc"),
    gauge("container_memory_slab_bytes", "Kernel objects, all.", "slab"),
    gauge("container_memory_slab_reclaimable_bytes", "Kernel objects that can be dropped.", "slab_reclaimable"),
    gauge("container_memory_slab_unreclaimable_bytes", "Kernel objects that cannot.", "slab_unreclaimable"),
    gauge("container_memory_anon_thp_bytes", "Anonymous memory in transparent huge pages.", "anon_thp"),
    gauge("container_memory_file_thp_bytes", "Page cache in transparent huge pages.", "file_thp"),
    gauge("container_memory_shmem_thp_bytes", "Shared memory in transparent huge pages.", "shmem_thp"),
    gauge("container_memory_swapcached_bytes", "Memory that is in swap as well.", "swapcached"),
    gauge("container_memory_zswapped_bytes", "Memory that went into compressed swap, before compression.", "zswapped"),
    gauge("container_memory_hugetlb_bytes", "Huge pages, where they are counted as memory.", "hugetlb"),
)

_RECLAIM = (
    ("pgscan_kswapd", "Pages that background reclaim looked at."),
    ("pgscan_direct", "Pages that tasks had to look at themselves."),
    ("pgsteal_kswapd", "Pages that background reclaim took."),
    ("pgsteal_direct", "Pages that tasks had to take themselves."),
    ("pgrefill", "Pages looked at on the active list."),
    ("pgactivate", "Pages moved to the active list."),
    ("pgdeactivate", "Pages moved to the inactive list."),
    ("pglazyfree", "Pages marked as free when memory is short."),
    ("pglazyfreed", "Such pages that were taken."),
    ("pswpin", "Pages read from swap."),
    ("pswpout", "Pages written to swap."),
    ("pgpgin", "Pages charged to the cgroup (v1)."),
    ("pgpgout", "Pages uncharged from the cgroup (v1)."),
    ("workingset_activate_anon", "Anonymous pages that came back and were active at once."),
    ("workingset_activate_file", "Pages of files that came back and were active at once."),
    ("workingset_restore_anon", "Anonymous pages that came back as part of the working set."),
    ("workingset_restore_file", "Pages of files that came back as part of the working set."),
    ("workingset_nodereclaim", "Times the memory of page cache shadows was reclaimed."),
    ("thp_fault_alloc", "Transparent huge pages given on a page fault."),
    ("thp_collapse_alloc", "Transparent huge pages put together later."),
    ("zswpin", "Pages read from compressed swap."),
    ("zswpout", "Pages written to compressed swap."),
    ("zswpwb", "Pages moved from compressed swap to disk."),
)

FAMILIES = (
    Family(
        "memory",
        "Memory in use, limits and events",
        (
            Group(Memory, _memory, _USAGE),
            Group(MemoryStat, _stat, _FROM_STAT),
            Group(MemoryEvents, _events, _EVENTS),
            Group(
                SwapEvents,
                _swap_events,
                tuple(
                    counter(
                        "container_memory_swap_events_total",
                        "Swap events of the cgroup and all below it.",
                        kind,
                        event=kind,
                    )
                    for kind in ("high", "max", "fail")
                ),
            ),
            Group(MemoryEvents, _hits, (untyped("container_memory_failcnt", _FAILCNT, "max"),)),
        ),
        needs=Need.MEMORY | Need.MEMORY_DETAIL,
        parts=("memory",),
    ),
    Family(
        "memory_stat",
        "What memory consists of",
        (
            Group(MemoryStat, _stat, _BREAKDOWN),
            Group(
                MemoryEvents,
                _events_local,
                _event_columns("container_memory_events_local_total", "Memory events of the cgroup itself."),
            ),
        ),
        needs=Need.MEMORY | Need.MEMORY_DETAIL,
        parts=("memory",),
    ),
    Family(
        "memory_reclaim",
        "How memory is reclaimed",
        (Group(MemoryStat, _stat, tuple(counter(f"container_memory_{n}_total", text, n) for n, text in _RECLAIM)),),
        needs=Need.MEMORY,
        default=False,
        why_off="23 series per container, for experts",
        parts=("memory",),
    ),
)
