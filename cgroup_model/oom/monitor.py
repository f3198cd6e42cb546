"""Every OOM kill counted and attributed: watches, the kernel's log, the machine's own count and the ledger together.

Counters decide how many; notifications say when to look and what happened to cgroups that are gone; the log says who.
While nothing is killed, made or removed, the thread sleeps in poll(2).
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import select
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final, Self

from cgroup_model.kmsg import DEVICE, KernelLog
from cgroup_model.mounts import Mounts
from cgroup_model.oom.attribution import Attribution
from cgroup_model.oom.ledger import Identify, Ledger
from cgroup_model.oom.records import Account, Report
from cgroup_model.oom.state import State, StateFile
from cgroup_model.oom.victims import VictimParser
from cgroup_model.oom.watches import MOST_REGISTERED, Changes, Watch, Watches
from cgroup_model.source import CgroupGone

_HOT_SECONDS: Final = 1.0  # a kill follows its notification within this; until then the counter is looked at again
_HOT_INTERVAL_SECONDS: Final = 0.05
_DYING_SECONDS: Final = 10.0  # the kernel takes a removed cgroup apart in the background, and then signals once more
_GRACE_SECONDS: Final = 2.0  # a kill that no cgroup has had for so long is unattributed
_SAVE_SECONDS: Final = 1.0
_URGENT: Final = -10  # nice value: a cgroup that dies of OOM may live for 50 ms, in which it has to be registered
_OOM_KILL: Final = re.compile(rb"^oom_kill (\d{1,20})$", re.MULTILINE)

log = logging.getLogger(__name__)


class OomMonitor:
    """The ledger of one machine. Safe to share between threads.

    Without `start` nothing is notified and each `report` looks at all cgroups; kills in cgroups that came and went in
    between are then unattributed.
    """

    def __init__(
        self,
        mounts: Mounts,
        *,
        proc_root: str = "/proc",
        kmsg: str | None = DEVICE,
        state_path: str | None = None,
        identify: Identify | None = None,
        most_watched: int = MOST_REGISTERED,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Read nothing yet. ``state_path`` None: nothing is remembered; ``clock`` gives seconds of the epoch.

        On v1 each of ``most_watched`` cgroups takes a descriptor; others are looked at in `report` only.
        Where the state file cannot be had that is logged, and the ledger lives as long as this object.
        """
        self._hierarchy = mounts.for_controller("memory")
        self._proc_root = proc_root
        self._kmsg = kmsg
        self._most_watched = most_watched
        self._clock = clock
        self._lock = threading.RLock()
        self._watches: Watches | None = None
        self._log: KernelLog | None = None
        self._parser = VictimParser()
        self._ledger = Ledger(self._inode_of, identify)
        self._attribution = Attribution(self._ledger, self._left, self._read)
        self._file = _open_state(state_path) if state_path is not None else None
        self._state = State()
        self._saved_changes = 0
        self._saved_at = 0.0
        self._hot: set[Watch] = set()
        self._dying: list[Watch] = []
        self._machine: int | None = None
        self._rest: tuple[int, float] | None = None  # unattributed, and since when
        self._thread: threading.Thread | None = None
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._ended = False

    # ------------------------------------------------------------------------------------------ public

    def start(self) -> None:
        """Have everything notified from now on, in a thread of its own. Once; does nothing without memory cgroups."""
        with self._lock:
            if self._thread is not None or self._hierarchy is None:
                return
            if self._watches is not None:
                self._watches.close()
            self._begin(notify=True)
            self._thread = threading.Thread(target=self._run, name="oom-watch", daemon=True)
            self._thread.start()

    def report(self, *, page: bool = False) -> Report:
        """Look at everything once more and give the ledger as of now.

        ``page``: somebody is shown the accounts; those of departed cgroups are kept for the next two such looks, and
        for a quarter of an hour at least.
        """
        with self._lock:
            if self._hierarchy is None or self._ended:
                return Report(self._clock())
            if self._watches is None:
                self._begin(notify=False)
            self._step(all_unregistered=True)
            report = self._report()
            if page:
                self._ledger.expire(self._clock())
            if self._thread is None:
                self._save(at_once=True)
            return report

    def look(self, path: str) -> Account | None:
        """Read the counters of one living cgroup anew and give its account; None when it has none."""
        with self._lock:
            watch = self._watches.living.get(path) if self._watches is not None else None
            if watch is not None:
                self._read(watch)
            entry = self._ledger.entries.get(path)
            return entry.frozen() if entry is not None else None

    def close(self) -> None:
        """End the thread, write the state, close everything."""
        if self._ended:
            return
        self._ended = True
        os.eventfd_write(self._wake_fd, 1)
        if self._thread is not None:
            self._thread.join()
        with self._lock:
            self._save(at_once=True)
            for watch in self._dying:
                if self._watches is not None:
                    self._watches.forget(watch)
            for one in (self._watches, self._log, self._file):
                if one is not None:
                    one.close()
            self._watches = self._log = self._file = None
            os.close(self._wake_fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---------------------------------------------------------------------------------------- beginning

    def _begin(self, *, notify: bool) -> None:
        """Take over what was remembered and look at every cgroup for the first time."""
        assert self._hierarchy is not None  # noqa: S101 - for mypy: callers have asked
        first = self._watches is None
        self._watches = Watches(self._hierarchy, notify=notify, most=self._most_watched)
        if self._kmsg is not None and self._log is None:
            self._log = _open_log(self._kmsg)
        known = first and self._restore()
        self._machine = self._count()
        changes = self._watches.scan()
        for watch in changes.appeared:
            self._book(watch, self._clock() if known or not first else None)
        if first and not known:
            self._state = State(boot_id=self._boot_id(), machine_base=self._machine)
        for entry in list(self._ledger.entries.values()):
            if entry.inode is not None and entry.inode != self._inode_of(entry.path):
                self._ledger.depart(entry.path, entry.inode, self._clock())

    def _restore(self) -> bool:
        """Take over the saved state; True when it is this boot's, so that all counters go on."""
        state = self._file.load() if self._file is not None else None
        if state is None:
            return False
        same = state.boot_id == self._boot_id()
        for entry in state.entries:
            if not same and entry.inode is not None:
                entry.end_life()
                entry.gone_epoch = state.saved_epoch
            entry.pages = entry.unnamed = 0
            self._ledger.entries[entry.path] = entry
        self._ledger.recent.extend(state.recent)
        if same:
            self._state, self._ledger.attributed = state, state.attributed
        return same

    # ------------------------------------------------------------------------------------------ looking

    def _run(self) -> None:
        with contextlib.suppress(OSError):  # without the permission it is as quick as others
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _URGENT)
        poller = select.poll()
        watches, kernel_log = self._watches, self._log
        for one in (self._wake_fd, watches, kernel_log):
            if one is not None:
                poller.register(one, select.POLLIN)
        while not self._ended:
            poller.poll(self._timeout_ms())
            with self._lock:
                if not self._ended:
                    self._guarded_step()

    def _guarded_step(self) -> None:
        try:
            self._step(all_unregistered=False)
            self._save(at_once=False)
        except Exception:
            log.exception("the watch of OOM kills goes on after a fault")
            time.sleep(_HOT_SECONDS)

    def _timeout_ms(self) -> float | None:
        """How long to sleep when nothing is notified; None: for ever."""
        if self._hot or any(watch.gone_at > time.monotonic() - _HOT_SECONDS for watch in self._dying):
            return _HOT_INTERVAL_SECONDS * 1000
        unsaved = self._file is not None and self._ledger.changes != self._saved_changes
        return _SAVE_SECONDS * 1000 if self._dying or self._rest is not None or unsaved else None

    def _step(self, *, all_unregistered: bool) -> None:
        """Take in what happened and bring the books up to date."""
        watches = self._watches
        assert watches is not None  # noqa: S101 - as above
        now = time.monotonic()
        changes = watches.take() if watches.notifies else watches.scan()
        for watch in changes.signalled:
            watch.signalled_at = now
            self._hot.add(watch)
        self._read_log()
        for watch in [*changes.appeared, *self._hot]:
            self._read(watch)
        if all_unregistered:
            for watch in watches:
                if not watch.registered:
                    self._read(watch)
        self._bury(changes, now)
        self._cool(now)
        self._close_the_sum(now)

    def _read(self, watch: Watch) -> None:
        """Read a living cgroup's counters and book what is new."""
        self._book(watch, self._clock())

    def _book(self, watch: Watch, epoch: float | None) -> None:
        assert self._watches is not None  # noqa: S101 - as above
        try:
            kills = self._watches.read(watch)
        except CgroupGone:
            return  # its directory's removal is notified, or the next scan misses it
        if kills is not None:
            new = self._ledger.observe(watch.path, watch.inode, kills, epoch)
            watch.explained = min(watch.signals, watch.explained + new)

    def _cool(self, now: float) -> None:
        for watch in [one for one in self._hot if now - one.signalled_at > _HOT_SECONDS]:
            watch.explained = watch.signals  # what has killed nothing by now was an ancestor's matter
            self._hot.discard(watch)

    def _bury(self, changes: Changes, now: float) -> None:
        """Book the kills of cgroups that are gone, as soon and as long as something is known of them."""
        watches = self._watches
        assert watches is not None  # noqa: S101 - as above
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
                    self._ledger.add_victim(victim)
        except OSError as error:
            log.warning("the kernel's log cannot be read any more: %s", error)
            self._log.close()
            self._log = None

    # -------------------------------------------------------------------------------------------- sums

    def _left(self) -> int | None:
        """How many kills of the machine are in no account, since the ledger began."""
        if self._machine is None or self._state.machine_base is None:
            return None
        return self._machine - self._state.machine_base - self._ledger.attributed

    def _close_the_sum(self, now: float) -> None:
        """Call unattributed what nobody claims for a while: a counter must not be taken back."""
        left = (self._left() or 0) - sum(watch.owes_one for watch in self._dying)
        if left <= self._state.unattributed:
            self._rest = None
        elif self._rest is None or self._rest[0] > left:
            self._rest = left, now
        elif now - self._rest[1] > _GRACE_SECONDS:
            self._state = replace(self._state, unattributed=self._rest[0])
            self._ledger.changes += 1
            self._rest = None

    def _count(self) -> int | None:
        try:
            with open(f"{self._proc_root}/vmstat", "rb", buffering=0) as file:
                found = _OOM_KILL.search(file.readall())
        except OSError:
            return None
        return int(found[1]) if found is not None else None

    def _report(self) -> Report:
        watches, kernel_log, state = self._watches, self._log, self._state
        registered = sum(watch.registered for watch in watches) if watches is not None else 0
        return Report(
            epoch=self._clock(),
            accounts=self._ledger.accounts(),
            recent=tuple(self._ledger.recent),
            machine_kills=self._machine,
            attributed=self._ledger.attributed,
            unattributed=state.unattributed,
            log_lost=state.log_lost + (kernel_log.lost if kernel_log is not None else 0),
            log_suppressed=state.log_suppressed + (kernel_log.suppressed if kernel_log is not None else 0),
            log_readable=kernel_log is not None,
            watched=registered,
            unwatched=len(watches.living) - registered if watches is not None else 0,
        )

    # ------------------------------------------------------------------------------------------- saving

    def _save(self, *, at_once: bool) -> None:
        now = time.monotonic()
        if self._file is None or self._ledger.changes == self._saved_changes:
            return
        if not at_once and now - self._saved_at < _SAVE_SECONDS:
            return
        report = self._report()
        state = replace(
            self._state,
            saved_epoch=self._clock(),
            attributed=self._ledger.attributed,
            log_lost=report.log_lost,
            log_suppressed=report.log_suppressed,
            entries=tuple(self._ledger.entries.values()),
            recent=report.recent,
        )
        self._saved_at, self._saved_changes = now, self._ledger.changes
        try:
            self._file.save(state)
        except OSError as error:
            log.warning("the ledger of OOM kills cannot be saved: %s", error)

    def _boot_id(self) -> str:
        try:
            with open(f"{self._proc_root}/sys/kernel/random/boot_id", "rb", buffering=0) as file:
                return file.readall().strip().decode()
        except (OSError, ValueError):
            return ""

    def _inode_of(self, path: str) -> int | None:
        watch = self._watches.living.get(path) if self._watches is not None else None
        return watch.inode if watch is not None else None


def _open_log(device: str) -> KernelLog | None:
    try:
        return KernelLog(device)
    except OSError as error:
        log.info("victims of OOM kills stay nameless: %s: %s", device, error.strerror)
        return None


def _open_state(path: str) -> StateFile | None:
    try:
        return StateFile(path)
    except OSError as error:
        log.warning("OOM kills are not remembered: %s: %s", path, error.strerror)
        return None
