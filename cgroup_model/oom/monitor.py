"""Every OOM kill counted and attributed: watches, the kernel's log, the machine's own count and the ledger together.

Counters decide how many; notifications say when to look and what happened to cgroups that are gone; the log says who.
While nothing is killed, made or removed, the thread sleeps in poll(2).
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final, Self

from cgroup_model.kmsg import DEVICE
from cgroup_model.mounts import Mounts
from cgroup_model.oom.bookkeeper import Bookkeeper
from cgroup_model.oom.ledger import Identify
from cgroup_model.oom.records import Account, Report
from cgroup_model.oom.state import StateFile
from cgroup_model.oom.watches import MOST_REGISTERED

_FAULT_SECONDS: Final = 1.0
_SAVE_SECONDS: Final = 1.0
_URGENT: Final = -10  # nice value: a cgroup that dies of OOM may live for 50 ms, in which it has to be registered

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
        self._proc_root = proc_root
        self._clock = clock
        self._lock = threading.RLock()
        hierarchy = mounts.for_controller("memory")
        self._books = (
            Bookkeeper(
                hierarchy, proc_root=proc_root, kmsg=kmsg, identify=identify, most_watched=most_watched, clock=clock
            )
            if hierarchy is not None
            else None
        )
        self._begun = False
        self._file = _open_state(state_path) if state_path is not None else None
        self._saved_changes = 0
        self._saved_at = 0.0
        self._save_fails = False
        self._thread: threading.Thread | None = None
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._ended = False

    # ------------------------------------------------------------------------------------------ public

    def start(self) -> None:
        """Have everything notified from now on, in a thread of its own. Once; does nothing without memory cgroups."""
        with self._lock:
            if self._thread is not None or self._books is None:
                return
            self._begin(self._books, notify=True)
            self._thread = threading.Thread(target=self._run, args=(self._books,), name="oom-watch", daemon=True)
            self._thread.start()

    @property
    def remembers(self) -> bool:
        """Whether the state file is ours: another process may have it, or nobody may write there."""
        return self._file is not None

    def report(self, *, page: bool = False) -> Report:
        """Look at everything once more and give the ledger as of now.

        ``page``: somebody is shown the accounts; those of departed cgroups are kept for the next two such looks, and
        for a quarter of an hour at least.
        """
        with self._lock:
            books = self._books
            if books is None or self._ended:
                return Report(self._clock())
            if not self._begun:
                self._begin(books, notify=False)
            books.step(all_unregistered=True)
            report = books.report()
            if page:
                books.ledger.expire(self._clock())
            if self._thread is None:
                self._save(books, at_once=True)
            return report

    def look(self, path: str) -> Account | None:
        """Read the counters of one living cgroup anew and give its account; None when it has none."""
        with self._lock:
            if self._books is None or self._ended:
                return None
            watch = self._books.watches.living.get(path)
            if watch is not None:
                self._books.read(watch)
            entry = self._books.ledger.entries.get(path)
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
            if self._books is not None:
                self._save(self._books, at_once=True)
                self._books.close()
            if self._file is not None:
                self._file.close()
            os.close(self._wake_fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---------------------------------------------------------------------------------------- internals

    def _begin(self, books: Bookkeeper, *, notify: bool) -> None:
        """Take over what was remembered and look at every cgroup for the first time."""
        state = self._file.load() if self._file is not None and not self._begun else None
        boot_id = self._boot_id()
        known = state is not None and books.restore(state, boot_id)
        books.begin(boot_id, notify=notify, since=self._clock() if known or self._begun else None)
        self._begun = True

    def _run(self, books: Bookkeeper) -> None:
        with contextlib.suppress(OSError):  # without the permission it is as quick as others
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _URGENT)
        poller = select.poll()
        for one in (self._wake_fd, *books.descriptors()):
            poller.register(one, select.POLLIN)
        while not self._ended:
            poller.poll(self._timeout_ms(books))
            with self._lock:
                if not self._ended:
                    self._guarded_step(books)

    def _guarded_step(self, books: Bookkeeper) -> None:
        try:
            books.step(all_unregistered=False)
            self._save(books, at_once=False)
        except Exception:
            log.exception("the watch of OOM kills goes on after a fault")
            time.sleep(_FAULT_SECONDS)

    def _timeout_ms(self, books: Bookkeeper) -> float | None:
        """How long to sleep when nothing is notified; None: for ever."""
        unsaved = self._file is not None and books.ledger.changes != self._saved_changes
        seconds = books.wait_seconds()
        if seconds is None:
            return _SAVE_SECONDS * 1000 if unsaved else None
        return seconds * 1000

    def _save(self, books: Bookkeeper, *, at_once: bool) -> None:
        now = time.monotonic()
        changes = books.ledger.changes
        if self._file is None or changes == self._saved_changes:
            return
        if not at_once and now - self._saved_at < _SAVE_SECONDS:
            return
        self._saved_at = now
        try:
            self._file.save(replace(books.at_rest(), saved_epoch=self._clock()))
        except OSError as error:  # tried again until there is room
            if not self._save_fails:
                log.warning("the ledger of OOM kills cannot be saved: %s", error)
            self._save_fails = True
        else:
            self._saved_changes, self._save_fails = changes, False

    def _boot_id(self) -> str:
        try:
            with open(f"{self._proc_root}/sys/kernel/random/boot_id", "rb", buffering=0) as file:
                return file.readall().strip().decode()
        except (OSError, ValueError):
            return ""


def _open_state(path: str) -> StateFile | None:
    try:
        return StateFile(path)
    except OSError as error:
        reason = "another exporter uses it" if isinstance(error, BlockingIOError) else error.strerror
        log.warning("OOM kills are not remembered: %s: %s", path, reason)
        return None
