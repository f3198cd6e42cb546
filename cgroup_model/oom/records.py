"""What is known of OOM kills, as frozen records; JSON by `cgroup_model.codec`."""

from __future__ import annotations

from dataclasses import dataclass

from cgroup_model.engines import Identity


@dataclass(frozen=True, slots=True)
class Victim:
    """One process that the OOM killer ended, as the kernel's log tells it. None: the log does not say."""

    epoch: float
    pid: int
    comm: str
    cgroup: str | None = None  # path of the victim's memory cgroup
    limit_cgroup: str | None = None  # path of the cgroup whose limit was hit; None: the machine ran out of memory
    constraint: str | None = None  # memcg, none, cpuset, memory_policy
    invoked_by: str | None = None  # task that asked for the memory
    anon_rss_bytes: int | None = None
    file_rss_bytes: int | None = None
    shmem_rss_bytes: int | None = None
    uid: int | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """The OOM kills of one cgroup path, over all cgroups that had that path since the ledger began. Never falls.

    Only paths with a kill at or below them have an account.
    """

    path: str  # in the hierarchy of the memory controller
    kills: int  # in the cgroup and all below it
    own_kills: int  # in the cgroup itself
    inode: int | None = None  # of the cgroup that has the path now; None: it is gone
    first_epoch: float | None = None  # of a kill that the ledger saw happen
    last_epoch: float | None = None
    gone_epoch: float | None = None
    identity: Identity | None = None
    victims: tuple[Victim, ...] = ()  # of the cgroup itself, the newest last; bounded

    @property
    def departed(self) -> bool:
        """True when no cgroup has this path any more."""
        return self.inode is None


@dataclass(frozen=True, slots=True)
class Report:
    """The whole ledger at one moment.

    ``machine_kills`` is the kernel's own count since boot. ``unattributed`` are those since the ledger began that no
    cgroup's counter explains; with ``attributed`` they make up all that happened since then.
    """

    epoch: float
    accounts: tuple[Account, ...] = ()  # by path; those of cgroups that are gone are kept for a while
    recent: tuple[Victim, ...] = ()  # of the whole machine, the newest last; bounded
    machine_kills: int | None = None
    attributed: int = 0
    unattributed: int = 0
    log_lost: int = 0  # records of the kernel's log that were overwritten before they were read
    log_suppressed: int = 0  # messages that the kernel left out itself
    log_readable: bool = False
    watched: int = 0  # cgroups whose kills are notified
    unwatched: int = 0  # cgroups that are only looked at when somebody asks
