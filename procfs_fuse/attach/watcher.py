"""Attaching every container by itself, as soon as its program runs.

What takes long, finding and opening its files, is done when its cgroup is made, some ten milliseconds before.

Three things tell of containers: the process connector (whatever executes something, at once), notifications of new
cgroups (then the cgroup is looked at again and again for a moment, as v1 does not tell when a task joins), and, where
neither is to be had, a look at all of them once a second. None of them is trusted: each only makes us look.
"""

from __future__ import annotations

import contextlib
import logging
import math
import select
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

from cgroup_model.layout import Cgroup
from cgroup_model.mounts import OutOfSight
from cgroup_model.source import CgroupGone
from cgscope.errors import Failure
from procfs_fuse.attach import mountinfo, readiness, sources
from procfs_fuse.attach.attachment import Nesting, attach_from
from procfs_fuse.attach.containers import Container, Machine
from procfs_fuse.attach.exec_events import ExecEvents, Lost
from procfs_fuse.attach.mountinfo import MountLine
from procfs_fuse.attach.outcome import Outcome, Reason
from procfs_fuse.attach.preparations import Preparations
from procfs_fuse.attach.report import Entry, Report
from procfs_fuse.attach.rules import Rules
from procfs_fuse.attach.sources import Supply
from procfs_fuse.attach.target import Refused
from procfs_fuse.instances import Instance

_YOUNG_SECONDS: Final = 10.0  # a new cgroup is looked at so long: then its container has started, or will be noticed
_LOOK_SECONDS: Final = 0.02  # that often, without a connector
_CALM_SECONDS: Final = 1.0
_ROUND_SECONDS: Final = 0.02  # so long at most, before events are taken again: there may be a thousand empty cgroups
_RETRY_SECONDS: Final = (0.05, 0.5, 2.0)  # after an attempt that failed
_WRITE_SECONDS: Final = 0.5

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Young:
    """A container that is not attached yet."""

    inode: int
    until: float  # counted from the first look: with many others that may be late
    next_look: float
    pause: float  # seconds until the look after that
    attempts: int = 0


class Watcher:
    """Attaches containers of one instance until that ends."""

    def __init__(
        self,
        instance: Instance,
        rules: Rules,
        nesting: Nesting = Nesting.SPARE_PROC,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._instance = instance
        self._rules = rules
        self._nesting = nesting
        self._clock = clock
        self._machine = Machine()
        self._events = _subscribed()
        self._young: dict[str, Young] = {}
        self._prepared = Preparations(instance, self._machine.tree.mounts, clock)
        self._changes = 0
        self._namespaces: dict[str, str] = {}  # of attached containers: cgroup path -> mount namespace
        self.report = Report(instance.directory, live=self._events is not None)

    def close(self) -> None:
        """Let go of everything."""
        if self._events is not None:
            self._events.close()
        self._prepared.close()
        self._machine.close()

    def run(self, go_on: Callable[[], bool]) -> None:
        """Attach what is there and what comes, while ``go_on`` says so (asked about once a second)."""
        poll = select.poll()
        for descriptor in self._descriptors():
            poll.register(descriptor, select.POLLIN)
        self.look_at_all()
        next_check = self._clock()
        while True:
            poll.poll(1000 * self._patience())
            self._take_events()
            self._take_new_cgroups()
            self._look_at_young()
            self._make_ready()
            if self._clock() >= next_check:
                if not go_on():
                    return
                next_check = self._clock() + _CALM_SECONDS
                self._forget_gone()
                if self._events is None and not self._machine.tree.is_live:
                    self.look_at_all()
            self.report.write_at_most_every(_WRITE_SECONDS)

    def look_at_all(self) -> None:
        """Look at every container of the machine."""
        for cgroup in list(self._machine.tree.containers().values()):
            self._notice(cgroup)
        self._look_at_young()

    # ------------------------------------------------------------------------------------------ what happened

    def _descriptors(self) -> Iterator[int]:
        if self._events is not None:
            yield self._events.fileno()
        watch = self._machine.tree.fileno()
        if watch is not None:
            yield watch

    def _take_events(self) -> None:
        if self._events is None:
            return
        try:
            executed = self._events.read()
        except Lost:
            log.info("more programs were started than could be followed; looking at all containers")
            self.look_at_all()
            return
        for pid, seconds in executed.items():
            self._executed(pid, seconds)

    def _take_new_cgroups(self) -> None:
        self._machine.tree.process_events()
        changes = self._machine.tree.changes
        if changes == self._changes:
            return
        self._changes = changes
        for cgroup in list(self._machine.tree.containers().values()):
            if cgroup.path not in self._namespaces and self._notice(cgroup):
                self._prepare(cgroup)

    def _executed(self, pid: int, at_seconds: float) -> None:
        """Some process became another program: perhaps the first one of a container."""
        namespace = self._machine.proc.namespace(pid, "mnt")
        if namespace is None or namespace in self._machine.host_namespaces:
            return
        with contextlib.suppress(LookupError, OSError, CgroupGone, OutOfSight):
            container = self._machine.of_process(pid)
            if container is not None and self._is_new(container, namespace):
                self._attempt(container, at_seconds)

    def _is_new(self, container: Container, namespace: str) -> bool:
        """Whether a namespace is to be looked at: the first of each container, until it is attached."""
        attached = self._namespaces.get(container.path)
        return attached is None or (attached == namespace and self._machine.is_init(container.pid))

    def _notice(self, cgroup: Cgroup) -> bool:
        """Look at a container from now on; whether it is a new one."""
        known = self._young.get(cgroup.path)
        if known is not None and known.inode == cgroup.inode:
            return False
        self._forget_young(cgroup.path)
        self._young[cgroup.path] = self._just_noticed(cgroup.inode)
        return True

    def _prepare(self, cgroup: Cgroup) -> None:
        if self._rules.wants(self._machine.identify(cgroup)):
            self._prepared.begin(cgroup, self._machine.key_of(cgroup.path))

    def _make_ready(self) -> None:
        """Go on making files ready until there is something more urgent to do."""
        began = self._clock()
        while self._prepared.go_on() and self._clock() - began < _ROUND_SECONDS:
            if self._events is not None and self._events.pending():
                return

    def _just_noticed(self, inode: int) -> Young:
        now = self._clock()
        pause = _LOOK_SECONDS if self._events is None else _CALM_SECONDS / 2
        return Young(inode, math.inf, now, pause)

    def _patience(self) -> float:
        """Seconds until something is to be done without an event."""
        looks = [young.next_look for young in self._young.values()]
        soonest = min(looks, default=math.inf)
        if self._prepared.next_look is not None:
            soonest = min(soonest, self._prepared.next_look)
        return min(max(soonest - self._clock(), 0), _CALM_SECONDS)

    # -------------------------------------------------------------------------------------------- attaching

    def _look_at_young(self) -> None:
        began = now = self._clock()
        for path, young in sorted(self._young.items(), key=_urgency):
            if now > young.until:
                self._forget_young(path)
            elif now >= young.next_look and now - began < _ROUND_SECONDS:
                young.until = min(young.until, now + _YOUNG_SECONDS)
                young.next_look = now + young.pause
                young.pause *= 1 if self._events is None else 2  # what happens is told: looking is for what was lost
                with contextlib.suppress(Failure, CgroupGone, OutOfSight):
                    self._attempt(self._machine.at(path))
                now = self._clock()
                if self._events is not None and self._events.pending():
                    return  # a program that runs is more urgent than one that may come

    def _attempt(self, container: Container, executed_at: float | None = None) -> None:
        """Attach a container if it is wanted and ready; when it is not ready, it will be looked at again."""
        young = self._young.get(container.path)
        if not self._rules.wants(container.identity):
            if not (self._rules.need_names and container.identity.name is None):  # the name may come a moment later
                self._forget_young(container.path)
            return
        try:
            if not self._is_ready(container):
                return
            outcome, done_at = self._attach(container)
        except Failure as failure:
            reason = Reason.REFUSED if isinstance(failure, Refused) else Reason.FILES
            outcome, done_at = Outcome(problem=str(failure), reason=reason), self._clock()
        except OSError:
            return  # it ended while we looked
        self._take_note(container, outcome, young, done_at - executed_at if executed_at is not None else None)

    def _attach(self, container: Container) -> tuple[Outcome, float]:
        """Put down what was made ready, then what the container has got since; also tell when that was done."""
        prepared = self._prepared.take(self._machine.tree.cgroup(container.path))
        if prepared is not None:
            outcome = attach_from(self._instance, container.pid, lambda: prepared, self._nesting)
            done_at = self._clock()
            if not (outcome.ok and prepared.is_outgrown()):
                return outcome, done_at
        supply = partial(Supply, self._instance, self._machine.key_of(container.path))
        return attach_from(self._instance, container.pid, supply, self._nesting), self._clock()

    def _is_ready(self, container: Container) -> bool:
        pid = container.pid
        if not (readiness.has_own_root(pid) and readiness.runs_its_program(pid)):
            return False
        lines = mountinfo.of_process(pid)
        is_known = container.path in self._namespaces  # not so, what a hook or -v put there may be a part of the files
        if is_known and self._is_attached(lines):
            self._settle(container)
            return False
        # Not settled: this may be a runtime's process that still sees the machine's mounts.
        return readiness.has_proc(lines) and not readiness.is_server(lines, self._instance.containers)

    def _is_attached(self, lines: list[MountLine]) -> bool:
        places = sources.places_of(self._instance)
        return readiness.is_attached(lines, places.source, places.devices)

    def _take_note(self, container: Container, outcome: Outcome, young: Young | None, delay: float | None) -> None:
        if outcome.ok:
            self._settle(container)
            self.report.put(Entry.of(container, outcome, delay))
            log.info("attached %s: %s", container.title, outcome.sentence())
        elif not outcome.gone:
            young = young or self._young.setdefault(container.path, self._just_noticed(0))
            if young.attempts < len(_RETRY_SECONDS):
                young.next_look = self._clock() + _RETRY_SECONDS[young.attempts]
                young.attempts += 1
                return
            self._settle(container)
            self.report.put(Entry.of(container, outcome))
            log.warning("cannot attach %s: %s", container.title, outcome.sentence())

    def _settle(self, container: Container) -> None:
        self._forget_young(container.path)
        namespace = self._machine.proc.namespace(container.pid, "mnt")
        if namespace is not None:
            self._namespaces[container.path] = namespace

    def _forget_young(self, path: str) -> None:
        self._young.pop(path, None)
        self._prepared.drop(path)

    def _forget_gone(self) -> None:
        alive = {cgroup.path for cgroup in self._machine.tree.containers().values()}
        for path in (self._namespaces.keys() | self.report.cgroups) - alive:  # some end before their namespace is known
            if not self._machine.exists(path):  # a container of a bare runtime may be at any path
                self._namespaces.pop(path, None)
                self.report.drop(path)


def _urgency(item: tuple[str, Young]) -> tuple[bool, float]:
    """Order of looks: a container that could not be attached runs, while the cgroups of the others may be empty."""
    _path, young = item
    return not young.attempts, young.next_look


def _subscribed() -> ExecEvents | None:
    try:
        return ExecEvents()
    except OSError as error:
        log.warning("no events of programs (%s): new containers are looked for instead", error.strerror)
        return None
