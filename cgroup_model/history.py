"""What must be remembered about a container between two looks at it: age, CPU accounts, load average, task counts.

One `History` belongs to one process that watches containers. A container is followed from the first time anything
is asked about it. The CPU accounts and load averages can be saved and loaded, so that counters do not fall when the
process is replaced.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import field, replace

from cgroup_model.cputime import CpuClock
from cgroup_model.dialects import dialect_for
from cgroup_model.discovery import walk_directories
from cgroup_model.hierarchy import Cgroup, Tree
from cgroup_model.loadavg import PERIOD_SECONDS, LoadAverage
from cgroup_model.procfs import NoSuchTask, Proc
from cgroup_model.record import dataclass
from cgroup_model.snapshot import Cpu, CpuTimes, Load, ShownCpus, Tasks
from cgroup_model.source import CgroupGone, Missing, Source
from cgroup_model.tasks import Membership, count_tasks

_COUNTING_SHARE = 0.05  # of one CPU: a count is reused until this share is not exceeded
_PATIENCE_SECONDS = 0.002  # a container that takes longer to count is left to the sampler

log = logging.getLogger(__name__)


def boottime() -> float:
    """CLOCK_BOOTTIME, seconds: what ages are measured with, suspended time included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(slots=True)
class _Life:
    """Everything remembered about one container."""

    started: float | None = None  # CLOCK_BOOTTIME, seconds
    boot_offset: float | None = None  # of its time namespace, seconds
    clock: CpuClock = field(default_factory=CpuClock)
    load: LoadAverage = field(default_factory=LoadAverage)
    tasks: Tasks | None = None
    counted_at: float = 0.0
    counting_seconds: float = 0.0
    forks: int = 0  # the most that was ever told, also by an earlier process


class History:
    """The remembered containers. `sample_loads` may run in a thread of its own; everything else in one thread."""

    def __init__(
        self,
        tree: Tree,
        source: Source,
        proc: Proc,
        *,
        boottime: Callable[[], float] = boottime,
        monotonic: Callable[[], float] = time.monotonic,
        keep: Callable[[Cgroup, list[object]], None] | None = None,
        throttled_as_steal: bool = False,
    ) -> None:
        """``keep`` is given a container's row of `to_json` before anybody is told its CPU accounts.

        With ``throttled_as_steal`` these count waiting for quota as steal (`Policy`).
        """
        self._tree = tree
        self._source = source
        self._proc = proc
        self._boottime = boottime
        self._monotonic = monotonic
        self._keep = keep
        self._throttled_as_steal = throttled_as_steal
        self._hierarchy = tree.mounts.primary
        self._dialect = dialect_for(self._hierarchy)
        self._lives: dict[tuple[str, int], _Life] = {}
        self._last_tick = monotonic()

    # ----------------------------------------------------------------------- what `collect` asks

    def age(self, cgroup: Cgroup) -> float | None:
        """Seconds since the container's first process started; None while it has none."""
        started = self._started(self._life(cgroup), cgroup)
        return None if started is None else max(0.0, self._boottime() - started)

    def boot_offset(self, cgroup: Cgroup) -> float:
        """How far the container's boot clock is ahead of the machine's, seconds; 0 while that is unknown."""
        life = self._life(cgroup)
        if life.boot_offset is None:
            for pid in self.members(cgroup).processes[:1]:
                life.boot_offset = self._proc.boot_offset_seconds(pid)
        return life.boot_offset or 0.0

    def cpu_times(self, cgroup: Cgroup, cpu: Cpu | None, shown: ShownCpus) -> CpuTimes | None:
        """The container's CPU accounts, brought up to now."""
        age = self.age(cgroup)
        if age is None or cpu is None:
            return None
        life = self._life(cgroup)
        waited = cpu.throttling.throttled_usec if self._throttled_as_steal and cpu.throttling else None
        times = life.clock.update(int(age * 1e6), cpu, shown, waited or 0)
        if self._keep is not None:
            self._keep(cgroup, _row(cgroup.path, cgroup.inode, life))
        return times

    def tasks(self, cgroup: Cgroup) -> Tasks | None:
        """Task counts: fresh while counting is cheap, else as old as `sample_loads` (a period) at most."""
        life = self._life(cgroup)
        if life.tasks is None or (life.counting_seconds < _PATIENCE_SECONDS and self._may_count(life)):
            self._count(life, cgroup)
        return life.tasks

    def load(self, cgroup: Cgroup) -> Load | None:
        """Load averages since the container was first asked about."""
        return self._life(cgroup).load.load()

    # ------------------------------------------------------------------------------ upkeep

    def sample_loads(self) -> None:
        """Account the periods that have passed; call it every `PERIOD_SECONDS` or so."""
        periods = int((self._monotonic() - self._last_tick) / PERIOD_SECONDS)
        if periods <= 0:
            return
        self._last_tick += periods * PERIOD_SECONDS
        for (path, inode), life in list(self._lives.items()):
            try:
                self._count(life, Cgroup(path, inode, {}))
            except CgroupGone:
                continue
            if life.tasks is not None:
                life.load.update(life.tasks.running + life.tasks.uninterruptible, periods)

    def seconds_to_next_sample(self) -> float:
        """How long to wait before `sample_loads` has something to do."""
        return max(0.0, self._last_tick + PERIOD_SECONDS - self._monotonic())

    def known(self) -> list[tuple[str, int]]:
        """(path, inode) of every container that is followed."""
        return list(self._lives)

    def keep_only(self, alive: Iterable[tuple[str, int]]) -> None:
        """Forget every container whose (path, inode) is not in ``alive``."""
        for key in self._lives.keys() - set(alive):
            del self._lives[key]

    def averages(self, path: str, inode: int) -> tuple[int, int, int]:
        """The load averages of a container that is followed, in the kernel's fixed point."""
        return self._lives[path, inode].load.averages

    def row(self, path: str, inode: int) -> list[object]:
        """One row of `to_json`, of a container that is followed."""
        return _row(path, inode, self._lives[path, inode])

    def to_json(self) -> list[object]:
        """What must survive a restart, as JSON types."""
        return [_row(path, inode, life) for (path, inode), life in list(self._lives.items())]

    def from_json(self, rows: object) -> None:
        """Take over what `to_json` gave; rows that make no sense are dropped with a warning."""
        for row in rows if isinstance(rows, list) else []:
            try:
                path, inode, started, clock, (one, five, fifteen), *forks = row
                self._lives[str(path), int(inode)] = _Life(
                    started=None if started is None else float(started),
                    clock=CpuClock.from_json(clock),
                    load=LoadAverage((int(one), int(five), int(fifteen))),
                    forks=int(forks[0]) if forks else 0,
                )
            except (ValueError, TypeError, KeyError) as error:
                log.warning("dropping a damaged record of a container: %s", error)

    # --------------------------------------------------------------------------- internals

    def _life(self, cgroup: Cgroup) -> _Life:
        key = (cgroup.path, cgroup.inode)
        life = self._lives.get(key)
        if life is None:
            life = self._lives[key] = _Life()
        return life

    def _started(self, life: _Life, cgroup: Cgroup) -> float | None:
        if life.started is None:
            life.started = start_of(self._proc, self.members(cgroup).processes, self._belongs(cgroup))
        return life.started

    def _belongs(self, cgroup: Cgroup) -> Callable[[int], bool]:
        def belongs(pid: int) -> bool:
            try:
                path = self._tree.cgroup_of_pid(pid).path
            except (OSError, CgroupGone):
                return False
            return path == cgroup.path or path.startswith(cgroup.path.rstrip("/") + "/")

        return belongs

    def _may_count(self, life: _Life) -> bool:
        return self._monotonic() - life.counted_at >= life.counting_seconds / _COUNTING_SHARE

    def _count(self, life: _Life, cgroup: Cgroup) -> None:
        before = self._monotonic()
        tasks = count_tasks(self._proc, self.members(cgroup))
        life.counted_at = self._monotonic()
        life.counting_seconds = life.counted_at - before
        life.tasks = _with_forks(tasks, life.forks)
        life.forks = max(life.forks, life.tasks.forks or 0)

    def members(self, cgroup: Cgroup) -> Membership:
        """All processes and threads of the subtree. Raises `CgroupGone` when the cgroup itself is gone."""
        processes: list[int] = []
        threads: list[int] = []
        for child in walk_directories(self._hierarchy.directory(cgroup.path)):
            try:
                processes += self._dialect.read_procs(self._source, child.directory)
                threads += self._dialect.read_threads(self._source, child.directory)
            except (Missing, OSError):  # a threaded v2 cgroup has no list of processes
                continue
            except CgroupGone:
                if child.directory == self._hierarchy.directory(cgroup.path):
                    raise
        return Membership([pid for pid in processes if pid], [tid for tid in threads if tid])


def start_of(proc: Proc, processes: Iterable[int], belongs: Callable[[int], bool]) -> float | None:
    """When a container started, in seconds of CLOCK_BOOTTIME; None without processes.

    That is with the init of its pid namespace, if that is one of its own processes, else with the oldest that is left.
    """
    starts: dict[int, float] = {}
    for pid in processes:
        try:
            starts[pid] = proc.start_seconds(pid)
        except (NoSuchTask, OSError):
            continue
    if not starts:
        return None
    oldest = min(starts, key=lambda pid: (starts[pid], pid))
    try:
        init = proc.init_of(oldest)
        if init is not None and init != 1 and belongs(init):
            return min(proc.start_seconds(init), starts[oldest])
    except (NoSuchTask, OSError):
        pass
    return starts[oldest]


def _with_forks(tasks: Tasks, told: int) -> Tasks:
    """The same with a count of forks that never falls, as pid numbers do when they wrap around."""
    if told <= (tasks.forks or 0):
        return tasks
    return replace(tasks, forks=told)


def _row(path: str, inode: int, life: _Life) -> list[object]:
    """What must survive a restart, as JSON types."""
    return [path, inode, life.started, life.clock.to_json(), list(life.load.averages), life.forks]
