"""The ledger of OOM kills as one scrape sees it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from cgroup_model.discovery import ContainerPath
from cgroup_model.hierarchy import Cgroup
from cgroup_model.oom import Account, OomMonitor, Report, Victim
from exporters.labels import clean
from exporters.metric import Exemplar

_LONGEST: Final = 24  # characters of a label's value: an exemplar's labels have 128 together
_ROOT: Final = "/"


@dataclass(frozen=True, slots=True)
class Kills:
    """OOM kills of one cgroup and all below it; ``last`` is an `Exemplar` of the newest that is known by name."""

    kills: int
    last_epoch: float | None = None
    last: Exemplar | None = None


_NONE: Final = Kills(0)


class OomReader:
    """Looks at the ledger once per scrape. ``exported`` tells the innermost exported cgroup of a path."""

    def __init__(self, monitor: OomMonitor, exported: ContainerPath) -> None:
        self._monitor = monitor
        self._exported = exported
        self.report = Report(0.0)
        """As of this scrape."""
        self._accounts: dict[str, Account] = {}
        self._counted: dict[tuple[str, int], int] = {}  # (path, inode) -> kills that its own files told last

    def begin(self) -> None:
        """Begin a scrape."""
        self.report = self._monitor.report(page=True)
        self._accounts = {account.path: account for account in self.report.accounts}

    def keep_only(self, alive: Collection[tuple[str, int]]) -> None:
        """Forget all cgroups but these (path, inode)."""
        for key in self._counted.keys() - alive:
            del self._counted[key]

    def read(self, cgroup: Cgroup, counted: int | None = None) -> Kills | None:
        """Count the kills of a cgroup; None where memory is not counted for it. Of the root, all the machine's.

        ``counted`` is what the cgroup's own counter said in this scrape: later than the ledger was looked at. Where it
        has risen the ledger is asked once more, so that no page has more kills there than here.
        """
        path = cgroup.paths.get("memory", cgroup.path)
        key = (cgroup.path, cgroup.inode)
        if counted and path != _ROOT and self._counted.get(key) != counted:
            self._counted[key] = counted
            if (anew := self._monitor.look(path)) is not None:
                self._accounts[path] = anew
        account = self._accounts.get(path)
        if path == _ROOT:
            machine = self.report.machine_kills
            last = self.report.recent[-1] if self.report.recent else None
            return None if machine is None else Kills(machine, last.epoch if last else None, exemplar(last))
        if account is None:
            return _NONE if self.report.watched or self.report.unwatched else None
        victim = account.victims[-1] if account.victims else None
        return Kills(account.kills, account.last_epoch, exemplar(victim))

    def departed(self) -> Iterator[Account]:
        """Yield the accounts of cgroups that are gone and would be exported if they lived."""
        for account in self.report.accounts:
            if account.departed and self._exported(account.path) == account.path:
                yield account


def exemplar(victim: Victim | None) -> Exemplar | None:
    """Tell who died, in the little room that there is."""
    if victim is None:
        return None
    labels = {"pid": str(victim.pid), "comm": clean(victim.comm)[:_LONGEST]}
    if victim.invoked_by is not None:
        labels["invoked_by"] = clean(victim.invoked_by)[:_LONGEST]
    return Exemplar(tuple(labels.items()), 1, round(victim.epoch, 3))
