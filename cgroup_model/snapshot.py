"""What is known about one cgroup at one moment, as frozen records.

Three things are kept apart everywhere:

* ``None``: this kernel, controller or permission does not say (unknown);
* ``UNLIMITED``: the kernel says that there is no limit (``max``, ``-1``, v1's PAGE_COUNTER_MAX);
* ``0``: zero.

A controller that is not there at all is a missing record (``snapshot.memory is None``), not a record
of ``None``. Field names are the cgroup v2 kernel's own; where v1 says the same thing in other words,
``dialects/v1.py`` translates. Units are in the names or, for kernel words, in the comments.

Sources: Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/ in the kernel tree.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import field
from typing import Final, Literal, Self

from cgroup_model.record import dataclass


class _Unlimited(enum.Enum):
    """Type of the `UNLIMITED` singleton; an enum, so that ``is UNLIMITED`` narrows for mypy."""

    UNLIMITED = "max"

    def __repr__(self) -> str:
        return "UNLIMITED"


UNLIMITED: Final = _Unlimited.UNLIMITED
"""The kernel says that there is no limit."""

UnlimitedType = Literal[_Unlimited.UNLIMITED]
Limit = int | UnlimitedType | None
"""A limit: a number, `UNLIMITED`, or None when unknown."""


class Need(enum.Flag):
    """Parts of a snapshot; a view declares what it reads, so that nothing else is collected."""

    NOTHING = 0
    MEMORY = enum.auto()  #: `Snapshot.memory` with stat, and `memory_bounds`; no swap where HOST_MEMINFO says so
    CPU = enum.auto()  #: `Snapshot.cpu` (totals, quota, throttling)
    CPUS = enum.auto()  #: `Snapshot.cpus`: which CPUs are shown
    CPU_TIMES = enum.auto()  #: `Snapshot.cpu_times`: accumulated time of each shown CPU
    CPUSET = enum.auto()
    IO = enum.auto()
    PIDS = enum.auto()
    PRESSURE = enum.auto()
    HUGETLB = enum.auto()  #: ``()`` unread where HOST_MEMINFO is asked for too and says that the machine has no pool
    CORE = enum.auto()  #: cgroup.stat, cgroup.events, freezer
    AGE = enum.auto()  #: `Snapshot.age_seconds`
    TASKS = enum.auto()  #: `Snapshot.tasks`: thread states of the subtree
    LOAD = enum.auto()  #: `Snapshot.load`
    HOST_MEMINFO = enum.auto()
    HOST_STAT = enum.auto()
    HOST_CPUINFO = enum.auto()
    HOST_SWAPS = enum.auto()
    HOST_DISKSTATS = enum.auto()
    HOST_LIMITS = enum.auto()  #: pid_max and threads-max of the host
    MEMORY_DETAIL = enum.auto()  #: the fields of `Memory` that no view of meminfo reads: half of its files
    HOST_VMSTAT = enum.auto()
    HOST_PARTITIONS = enum.auto()
    HOST_CPU_FILES = enum.auto()  #: `Host.cpu_files`, and `Host.online_cpus`
    HOST_NODE_FILES = enum.auto()  #: `Host.node_files`
    SLABINFO = enum.auto()  #: `Snapshot.slabinfo`
    CPU_PER_CPU = enum.auto()  #: `Cpu.per_cpu_usec`, which CPU_TIMES asks for as well (v1 only)


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator chose to show; read by views, never by readers."""

    cpu_view: Literal["quota", "cpuset"] = "quota"
    available: Literal["kernel", "working-set"] = "kernel"
    pid_max: Literal["pids", "host"] = "pids"
    throttled_as_steal: bool = False
    disable_swap: bool = False
    disable_zswap: bool = False


# ---------------------------------------------------------------------------------------------- memory


@dataclass(frozen=True)
class MemoryStat:
    """``memory.stat`` of a subtree, in bytes unless said (v1: the ``total_`` values)."""

    @classmethod
    def of(cls, numbers: dict[str, int]) -> Self:
        """Make a record of what is known, and keep that very dict: twenty times as fast as setting each field."""
        stat = cls.__new__(cls)
        object.__setattr__(stat, "__dict__", numbers)
        return stat

    anon: int | None = None
    file: int | None = None  # page cache, tmpfs and shared memory included
    kernel: int | None = None
    kernel_stack: int | None = None
    pagetables: int | None = None
    sec_pagetables: int | None = None
    percpu: int | None = None
    sock: int | None = None
    vmalloc: int | None = None
    shmem: int | None = None
    zswap: int | None = None
    zswapped: int | None = None
    file_mapped: int | None = None
    file_dirty: int | None = None
    file_writeback: int | None = None
    swapcached: int | None = None
    anon_thp: int | None = None
    file_thp: int | None = None
    shmem_thp: int | None = None
    inactive_anon: int | None = None
    active_anon: int | None = None
    inactive_file: int | None = None
    active_file: int | None = None
    unevictable: int | None = None
    slab_reclaimable: int | None = None
    slab_unreclaimable: int | None = None
    slab: int | None = None
    hugetlb: int | None = None
    # events, in pages or counts
    workingset_refault_anon: int | None = None
    workingset_refault_file: int | None = None
    workingset_activate_anon: int | None = None
    workingset_activate_file: int | None = None
    workingset_restore_anon: int | None = None
    workingset_restore_file: int | None = None
    workingset_nodereclaim: int | None = None
    pswpin: int | None = None
    pswpout: int | None = None
    pgscan: int | None = None
    pgsteal: int | None = None
    pgscan_kswapd: int | None = None
    pgscan_direct: int | None = None
    pgsteal_kswapd: int | None = None
    pgsteal_direct: int | None = None
    pgfault: int | None = None
    pgmajfault: int | None = None
    pgrefill: int | None = None
    pgactivate: int | None = None
    pgdeactivate: int | None = None
    pglazyfree: int | None = None
    pglazyfreed: int | None = None
    pgpgin: int | None = None  # v1 only
    pgpgout: int | None = None  # v1 only
    thp_fault_alloc: int | None = None
    thp_collapse_alloc: int | None = None
    zswpin: int | None = None
    zswpout: int | None = None
    zswpwb: int | None = None


@dataclass(frozen=True, slots=True)
class MemoryEvents:
    """``memory.events`` (hierarchical counts since the cgroup was made)."""

    low: int | None = None
    high: int | None = None
    max: int | None = None
    oom: int | None = None
    oom_kill: int | None = None
    oom_group_kill: int | None = None
    sock_throttled: int | None = None


@dataclass(frozen=True, slots=True)
class SwapEvents:
    """``memory.swap.events`` (hierarchical counts since the cgroup was made)."""

    high: int | None = None
    max: int | None = None
    fail: int | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """The memory controller's files of one cgroup; bytes. (d): only with `Need.MEMORY_DETAIL`."""

    current: int | None = None
    max: Limit = None
    high: Limit = None
    low: Limit = None  # (d)
    min: Limit = None  # (d)
    peak: int | None = None  # (d)
    swap_current: int | None = None
    swap_max: Limit = None  # swap alone, also on v1 (memsw limit - memory limit)
    swap_high: Limit = None  # (d)
    swap_peak: int | None = None  # (d)
    zswap_current: int | None = None  # (d)
    zswap_max: Limit = None  # (d)
    zswap_writeback: bool | None = None  # (d)
    oom_group: bool | None = None  # (d)
    oom_kill_disable: bool | None = None  # v1 only (d)
    under_oom: bool | None = None  # v1 only (d)
    failcnt: int | None = None  # v1 only (d)
    swappiness: int | None = None  # v1 only
    kernel_current: int | None = None  # v1 memory.kmem.usage_in_bytes; v2 memory.stat's kernel
    stat: MemoryStat = field(default_factory=MemoryStat)
    events: MemoryEvents | None = None  # (d)
    events_local: MemoryEvents | None = None  # (d)
    soft_limit: Limit = None  # v1 only (d)
    swap_events: SwapEvents | None = None  # v2 only (d)

    @property
    def working_set(self) -> int | None:
        """Usage without inactive file cache (kubelet's and cAdvisor's definition); bytes."""
        if self.current is None or self.stat.inactive_file is None:
            return None
        return max(0, self.current - self.stat.inactive_file)


@dataclass(frozen=True, slots=True)
class MemoryBounds:
    """What the cgroup may really have: its own files and every ancestor's, minimised. Bytes.

    ``*_free`` are what is left at the tightest level: min over levels of (limit - usage at that level).
    """

    max: Limit = None
    max_origin: str | None = None  # path of the cgroup that sets it
    high: Limit = None
    high_origin: str | None = None
    free: int | None = None  # min over limited levels of (max - current); None: no level is limited
    available: int | None = None  # the same plus what the kernel could reclaim at that level; high counts as a limit
    available_working_set: int | None = None  # the same, counting active file cache as used
    swap_max: Limit = None
    swap_max_origin: str | None = None
    swap_free: int | None = None  # None: no level is limited


# ------------------------------------------------------------------------------------------------- cpu


@dataclass(frozen=True, slots=True)
class Throttling:
    """CFS bandwidth statistics of ``cpu.stat`` (or ``cpu.stat.local``)."""

    nr_periods: int | None = None
    nr_throttled: int | None = None
    throttled_usec: int | None = None
    nr_bursts: int | None = None
    burst_usec: int | None = None


@dataclass(frozen=True, slots=True)
class Cpu:
    """The cpu (and on v1 cpuacct) controller's files; microseconds."""

    usage_usec: int | None = None
    user_usec: int | None = None  # nice time included
    system_usec: int | None = None
    nice_usec: int | None = None
    per_cpu_usec: Mapping[int, tuple[int, int]] | None = None  # physical CPU -> (user, system); v1, with CPU_PER_CPU
    quota_usec: Limit = None
    period_usec: int | None = None
    burst_usec: int | None = None
    weight: int | None = None  # v2 scale, 1..10000; v1 shares translated
    shares: int | None = None  # v1 only, as written
    idle: bool | None = None
    uclamp_min: float | None = None
    uclamp_max: float | None = None
    throttling: Throttling | None = None
    throttling_local_usec: int | None = None

    @property
    def quota_cpus(self) -> float | UnlimitedType | None:
        """The cgroup's own quota as a number of CPUs."""
        if self.quota_usec is UNLIMITED or self.quota_usec is None or not self.period_usec:
            return UNLIMITED if self.quota_usec is UNLIMITED else None
        return self.quota_usec / self.period_usec


@dataclass(frozen=True, slots=True)
class Cpuset:
    """CPUs and memory nodes that tasks may really use."""

    cpus_effective: tuple[int, ...] | None = None
    mems_effective: tuple[int, ...] | None = None
    cpus: tuple[int, ...] | None = None  # as configured; empty = inherited
    mems: tuple[int, ...] | None = None
    partition: str | None = None  # v2 only


@dataclass(frozen=True, slots=True)
class ShownCpus:
    """The one CPU model behind cpuinfo, stat and sys/devices/system/cpu.

    ``physical[i]`` is the machine's CPU that is shown as CPU ``i``: cpuset ∩ online in ascending order,
    cut to ceil(quota) (policy ``quota``). Never empty.
    """

    physical: tuple[int, ...]
    usable: tuple[int, ...]  # cpuset ∩ online, before the quota cut
    quota_cpus: float | UnlimitedType | None  # effective: minimum over ancestors
    quota_origin: str | None = None

    @property
    def count(self) -> int:
        """Number of CPUs shown; at least 1."""
        return len(self.physical)


@dataclass(frozen=True, slots=True)
class CpuTime:
    """Accumulated time of one shown CPU (or of all); microseconds; no field ever decreases."""

    user: int = 0
    nice: int = 0
    system: int = 0
    idle: int = 0
    steal: int = 0


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """CPU time as ``/proc/stat`` shows it.

    ``total`` is the sum over ``cpus`` and over CPUs that were shown once and are hidden now, as the kernel's
    ``cpu`` line still counts CPUs that went offline.
    """

    cpus: tuple[CpuTime, ...]
    hidden: CpuTime = CpuTime()


# ------------------------------------------------------------------------------------ io, pids, pressure


@dataclass(frozen=True, slots=True)
class IoDevice:
    """One block device's line of ``io.stat`` (v1: blkio.*) and its limits."""

    major: int
    minor: int
    rbytes: int | None = None
    wbytes: int | None = None
    rios: int | None = None
    wios: int | None = None
    dbytes: int | None = None
    dios: int | None = None
    rbps_max: Limit = None  # bytes per second
    wbps_max: Limit = None
    riops_max: Limit = None
    wiops_max: Limit = None


@dataclass(frozen=True, slots=True)
class Io:
    """The io (v1: blkio) controller's files, a row per device in the kernel's order."""

    devices: tuple[IoDevice, ...] = ()
    weight: int | None = None


@dataclass(frozen=True, slots=True)
class Pids:
    """The pids controller's files; tasks, that is threads."""

    current: int | None = None
    max: Limit = None
    peak: int | None = None
    events_max: int | None = None  # forks refused because of a limit
    effective_max: Limit = None  # minimum over ancestors
    effective_max_origin: str | None = None


@dataclass(frozen=True, slots=True)
class PressureLine:
    """One line of a PSI file: averages in percent, total in microseconds."""

    avg10: float
    avg60: float
    avg300: float
    total_usec: int


@dataclass(frozen=True, slots=True)
class PressureResource:
    """One PSI file; ``full`` of cpu exists since Linux 5.13, ``some`` of irq never."""

    some: PressureLine | None = None
    full: PressureLine | None = None
    raw: bytes = b""  # the file as the kernel wrote it


@dataclass(frozen=True, slots=True)
class Pressure:
    """Pressure stall information of the cgroup; a resource the kernel does not report is None."""

    cpu: PressureResource | None = None
    memory: PressureResource | None = None
    io: PressureResource | None = None
    irq: PressureResource | None = None


@dataclass(frozen=True, slots=True)
class Hugetlb:
    """One huge page size; bytes."""

    page_size: int
    current: int | None = None
    max: Limit = None
    rsvd_current: int | None = None
    rsvd_max: Limit = None
    events_max: int | None = None


@dataclass(frozen=True, slots=True)
class Core:
    """cgroup.stat, cgroup.events, cgroup.freeze and cgroup.type (v1: the freezer controller)."""

    populated: bool | None = None
    frozen: bool | None = None
    type: str | None = (
        None  # not in snapshots, for nobody shows it; v2: domain, domain threaded, threaded, domain invalid
    )
    nr_descendants: int | None = None
    nr_dying_descendants: int | None = None


# ------------------------------------------------------------------------------------------ tasks, load


@dataclass(frozen=True, slots=True)
class NumaPages:
    """Pages of one type (total, file, anon, unevictable) on one memory node; ``scope``: container or hierarchy."""

    type: str
    scope: str
    node: int
    pages: int


@dataclass(frozen=True, slots=True)
class Tasks:
    """Threads of the whole subtree, counted by state."""

    running: int = 0  # R
    uninterruptible: int = 0  # D
    total: int = 0
    processes: int = 0
    last_pid: int | None = None  # newest task's pid as its own pid namespace numbers it
    highest_pid: int | None = None  # highest pid or tid in use, in that namespace's numbers
    forks: int | None = None  # processes made since the container started, as far as known; never decreases


@dataclass(frozen=True, slots=True)
class Load:
    """Load averages, computed as the kernel does (include/linux/sched/loadavg.h)."""

    one: float
    five: float
    fifteen: float


# ------------------------------------------------------------------------------------------------ host


@dataclass(frozen=True, slots=True, eq=False)
class SysFiles:
    """Files of one folder of sysfs by relative path; equal only to itself, as a new one says that something changed."""

    files: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Host:
    """The machine's own files, raw, for pass-through and for minima. Not collected or unreadable: None."""

    meminfo: bytes | None = None
    stat: bytes | None = None
    cpuinfo: bytes | None = None
    swaps: bytes | None = None
    diskstats: bytes | None = None
    vmstat: bytes | None = None
    partitions: bytes | None = None
    cpu_files: SysFiles | None = None  # of sys/devices/system/cpu, as of when the last CPU came or went
    node_files: SysFiles | None = None  # of sys/devices/system/node, at most a second old
    online_cpus: tuple[int, ...] = (0,)
    pid_max: int | None = None
    threads_max: int | None = None
    page_bytes: int = 4096


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One cgroup at one moment. A part that was not asked for (`Need`) or is not there is None."""

    path: str  # of the cgroup in its primary hierarchy, "/" is the root
    host: Host
    policy: Policy = Policy()
    taken_at: float = 0.0  # CLOCK_BOOTTIME, seconds
    age_seconds: float | None = None
    boot_offset_seconds: float | None = None  # of the container's time namespace: its boot clock minus the machine's
    memory: Memory | None = None
    memory_bounds: MemoryBounds | None = None
    cpu: Cpu | None = None
    cpus: ShownCpus | None = None
    cpu_times: CpuTimes | None = None
    cpuset: Cpuset | None = None
    io: Io | None = None
    pids: Pids | None = None
    pressure: Pressure | None = None
    hugetlb: tuple[Hugetlb, ...] | None = None
    core: Core | None = None
    slabinfo: bytes | None = None  # v1 kernels before 5.9: the container's slabs, in the format of /proc/slabinfo
    tasks: Tasks | None = None
    load: Load | None = None
