"""Keeps the books: notifications, counters, the kernel's log and the machine's own count into the ledger.

Knows no thread and no file of its own; `OomMonitor` says when.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from cgroup_model.kmsg import KernelLog
from cgroup_model.mounts import Hierarchy
from cgroup_model.oom.attribution import Attribution
from cgroup_model.oom.ledger import Identify, Ledger
from cgroup_model.oom.records import Report
from cgroup_model.oom.state import State
from cgroup_model.oom.victims import VictimParser
from cgroup_model.oom.watches import Changes, Watch, Watches
from cgroup_model.source import CgroupGone

_HOT_SECONDS: Final = 1.0  # a kill follows its notification within this; until then the counter is looked at again
_HOT_INTERVAL_SECONDS: Final = 0.05
_REST_INTERVAL_SECONDS: Final = 1.0
_DYING_SECONDS: Final = 10.0  # the kernel takes a removed cgroup apart in the background, and then signals once more
_GRACE_SECONDS: Final = 2.0  # a kill that no cgroup has had for so long is unattributed
_OOM_KILL: Final = re.compile(rb"^oom_kill (\d{1,20})$", re.MULTILINE)

log = logging.getLogger(__name__)


class Bookkeeper:
    """The ledger and all that is written into it. Not for use by several threads at once."""

    def __init__(
        self,
        hierarchy: Hierarchy,
        *,
        proc_root: str,
        kmsg: str | None,
        identify: Identify | None,
        most_watched: int,
        clock: Callable[[], float],
    ) -> None:
        """Read nothing yet; the arguments are those of `OomMonitor`."""
        self._hierarchy = hierarchy
        self._kmsg = kmsg
        self._proc_root = proc_root
        self._most_watched = most_watched
        self._clock = clock
        self.watches = Watches(hierarchy, notify=False)
        self.ledger = Ledger(self._inode_of, identify)
        self.state = State()
        """What is kept beside the ledger."""
        self._log: KernelLog | None = None
        self._parser = VictimParser()
        self._attribution = Attribution(self.ledger, self._left, self.read)
        self._hot: set[Watch] = set()
        self._dying: list[Watch] = []
        self._machine: int | None = None
        self._rest: tuple[int, float] | None = None  # unattributed, and since when

    def restore(self, state: State, boot_id: str) -> bool:
        """Take over what was saved, before `begin`; True when it is of this boot, so that all counters go on."""
        same = state.boot_id == boot_id
        for entry in state.entries:
            if not same and entry.inode is not None:
                entry.end_life()
                entry.gone_epoch = state.saved_epoch
            entry.pages = entry.unnamed = 0
            self.ledger.entries[entry.path] = entry
        self.ledger.recent.extend(state.recent)
        if same:
            self.state, self.ledger.attributed = state, state.attributed
        return same

    def at_rest(self) -> State:
        """Give what is worth keeping."""
        report = self.report()
        return replace(
            self.state,
            attributed=report.attributed,
            log_lost=report.log_lost,
            log_suppressed=report.log_suppressed,
            entries=tuple(self.ledger.entries.values()),
            recent=report.recent,
        )

    def begin(self, boot_id: str, *, notify: bool, since: float | None) -> None:
        """Look at every cgroup for the first time, also in order to be notified from now on.

        ``since`` is when what is found now happened; None: before the ledger, and the machine's sum begins here.
        """
        self.watches.close()
        self.watches = Watches(self._hierarchy, notify=notify, most=self._most_watched)
        if self._kmsg is not None and self._log is None:
            self._log = _open_log(self._kmsg)
        self._machine = self._count()
        for watch in self.watches.scan().appeared:
            self._book(watch, since)
        if since is None:
            self.state = State(boot_id=boot_id, machine_base=self._machine)
        for entry in list(self.ledger.entries.values()):
            if entry.inode is not None and entry.inode != self._inode_of(entry.path):
                self.ledger.depart(entry.path, entry.inode, self._clock())

    def descriptors(self) -> list[Watches | KernelLog]:
        """List what to poll for reading."""
        return [self.watches, *([self._log] if self._log is not None else [])]

    def wait_seconds(self) -> float | None:
        """How long to wait for the next step when nothing is notified; None: for ever."""
        if self._hot or any(watch.gone_at > time.monotonic() - _HOT_SECONDS for watch in self._dying):
            return _HOT_INTERVAL_SECONDS
        return _REST_INTERVAL_SECONDS if self._dying or self._rest is not None else None

    def close(self) -> None:
        """Close everything."""
        for watch in self._dying:
            self.watches.forget(watch)
        self.watches.close()
        if self._log is not None:
            self._log.close()

    # ------------------------------------------------------------------------------------------ looking

    def step(self, *, all_unregistered: bool) -> None:
        """Take in what happened and bring the books up to date."""
        watches = self.watches
        now = time.monotonic()
        changes = watches.take() if watches.notifies else watches.scan()
        for watch in changes.signalled:
            watch.signalled_at = now
            self._hot.add(watch)
        self._read_log()
        for watch in [*changes.appeared, *self._hot]:
            self.read(watch)
        if all_unregistered:
            for watch in watches:
                if not watch.registered:
                    self.read(watch)
        self._bury(changes, now)
        self._cool(now)
        self._close_the_sum(now)

    def read(self, watch: Watch) -> None:
        """Read a living cgroup's counters and book what is new."""
        self._book(watch, self._clock())

    def _book(self, watch: Watch, epoch: float | None) -> None:
        try:
            kills = self.watches.read(watch)
        except CgroupGone:
            return  # its directory's removal is notified, or the next scan misses it
        if kills is not None:
            new = self.ledger.observe(watch.path, watch.inode, kills, epoch)
            watch.explained = min(watch.signals, watch.explained + new)

    def _cool(self, now: float) -> None:
        for watch in [one for one in self._hot if now - one.signalled_at > _HOT_SECONDS]:
            watch.explained = watch.signals  # what has killed nothing by now was an ancestor's matter
            self._hot.discard(watch)

    def _bury(self, changes: Changes, now: float) -> None:
        """Book the kills of cgroups that are gone, as soon and as long as something is known of them."""
        watches = self.watches
        epoch = self._clock()
        for watch in changes.gone:
            watch.gone_at = now
            self._hot.discard(watch)
        self._machine = self._count()
        self._dying += changes.gone
        by_eventfd = [watch for watch in self._dying if watch.eventfd >= 0]
        for watch in by_eventfd:
            watch.removal_told |= bool(watches.drain(watch)) and watch.buried
            watch.buried = True
            self._attribution.by_signals(watch, epoch)
        others = [watch for watch in changes.gone if watch.eventfd < 0]
        if others:
            self._attribution.by_parents(others, watches.living, epoch)
        known = watches.living.keys() | {watch.path for watch in by_eventfd}
        self._attribution.by_log(set(known), epoch)
        for watch in [one for one in self._dying if one.eventfd < 0 or now - one.gone_at > _DYING_SECONDS]:
            watches.forget(watch)
            self._dying.remove(watch)

    def _read_log(self) -> None:
        if self._log is None:
            return
        try:
            for record in self._log.read():
                victim = self._parser.feed(record)
                if victim is not None:
                    self.ledger.add_victim(victim)
        except OSError as error:
            log.warning("the kernel's log cannot be read any more: %s", error)
            self._log.close()
            self._log = None

    # -------------------------------------------------------------------------------------------- sums

    def _left(self) -> int | None:
        """How many kills of the machine are in no account, since the ledger began."""
        if self._machine is None or self.state.machine_base is None:
            return None
        return self._machine - self.state.machine_base - self.ledger.attributed

    def _close_the_sum(self, now: float) -> None:
        """Call unattributed what nobody claims for a while: a counter must not be taken back."""
        left = (self._left() or 0) - sum(watch.owes_one for watch in self._dying)
        if left <= self.state.unattributed:
            self._rest = None
        elif self._rest is None or self._rest[0] > left:
            self._rest = left, now
        elif now - self._rest[1] > _GRACE_SECONDS:
            self.state = replace(self.state, unattributed=self._rest[0])
            self.ledger.changes += 1
            self._rest = None

    def _count(self) -> int | None:
        try:
            with open(f"{self._proc_root}/vmstat", "rb", buffering=0) as file:
                found = _OOM_KILL.search(file.readall())
        except OSError:
            return None
        return int(found[1]) if found is not None else None

    def report(self) -> Report:
        """Give the ledger as it is."""
        kernel_log, state = self._log, self.state
        registered = sum(watch.registered for watch in self.watches)
        return Report(
            epoch=self._clock(),
            accounts=self.ledger.accounts(),
            recent=tuple(self.ledger.recent),
            machine_kills=self._machine,
            attributed=self.ledger.attributed,
            unattributed=state.unattributed,
            log_lost=state.log_lost + (kernel_log.lost if kernel_log is not None else 0),
            log_suppressed=state.log_suppressed + (kernel_log.suppressed if kernel_log is not None else 0),
            log_readable=kernel_log is not None,
            watched=registered,
            unwatched=len(self.watches.living) - registered,
        )

    def _inode_of(self, path: str) -> int | None:
        watch = self.watches.living.get(path)
        return watch.inode if watch is not None else None


def _open_log(device: str) -> KernelLog | None:
    try:
        return KernelLog(device)
    except OSError as error:
        log.info("victims of OOM kills stay nameless: %s: %s", device, error.strerror)
        return None
