"""Kills in cgroups that were gone before their counters could be read: who gets which.

v1: the eventfd's sum is known post mortem, and is one more than there were kills (the removal). Signals that were an
ancestor's, or killed nothing, are taken for kills then; so no more are given than the machine's own count has left.
v2: the parent's sum has them. It is exact; who they belong to is known when the kernel's log named the cgroup, or
when there is only one that died.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from cgroup_model.oom.ledger import ROOT, Ledger
from cgroup_model.oom.watches import Watch

Left = Callable[[], int | None]
"""How many kills of the machine nobody has yet; None where the kernel does not count them."""


class Attribution:
    """Books kills of the dead. ``refresh`` reads the counters of a living cgroup anew."""

    def __init__(self, ledger: Ledger, left: Left, refresh: Callable[[Watch], None]) -> None:
        self._ledger = ledger
        self._left = left
        self._refresh = refresh

    def by_signals(self, watch: Watch, epoch: float) -> None:
        """Book what a dead v1 cgroup's eventfd knows more than its counter said."""
        more = self._bounded(max(0, watch.signals - 1 - watch.explained))
        watch.explained += more
        self._ledger.depart(watch.path, watch.inode, epoch, more)

    def by_parents(self, dead: list[Watch], living: dict[str, Watch], epoch: float) -> None:
        """Book what the parents of dead v2 cgroups have more than the sum of their children."""
        families: dict[str, list[Watch]] = {}
        for watch in dead:
            families.setdefault(nearest_living(watch.path, living), []).append(watch)
        for parent, children in families.items():
            if parent in living:
                self._refresh(living[parent])
            more = self._shares(children, self._ledger.unexplained_below(parent))
            for watch in children:
                self._ledger.depart(watch.path, watch.inode, epoch, self._bounded(more[watch.path]))

    def by_log(self, known: set[str], epoch: float) -> None:
        """Book victims in cgroups that came and went unseen, which the kernel's log names."""
        for victim in self._ledger.unplaced():
            if victim.cgroup is not None and victim.cgroup not in known and self._bounded(1):
                self._ledger.depart(victim.cgroup, 0, epoch, 1)

    def _bounded(self, kills: int) -> int:
        left = self._left()
        return kills if left is None else max(0, min(kills, left))

    def _shares(self, children: list[Watch], kills: int) -> Counter[str]:
        """Divide kills among the dead: those named by the log first, then those that had been notified."""
        shares: Counter[str] = Counter()
        named = Counter(victim.cgroup for victim in self._ledger.unplaced())
        for watch in children:
            shares[watch.path] = min(named[watch.path], kills)
            kills -= shares[watch.path]
        notified = [watch for watch in children if watch.signals and not shares[watch.path]]
        for watch in notified[:kills]:
            shares[watch.path] += 1
            kills -= 1
        candidates = notified or children
        if len(candidates) == 1:
            shares[candidates[0].path] += kills
        return shares


def nearest_living(path: str, living: dict[str, Watch]) -> str:
    """Find the nearest ancestor that is still there; the root otherwise."""
    while path != ROOT:
        path = path[: path.rfind("/")] or ROOT
        if path in living:
            break
    return path
