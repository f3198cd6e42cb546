"""The process that answers. A child of the holder; when it dies, the next one begins with what it left in its slot.

It asks the file system, and writes to memory of containers, both of which may make it wait: the holder watches that.
Whatever it cannot answer is left to the kernel, counted and logged once for each reason.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import select
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeVar

from procfs_fuse.seccomp import affinity, answers, monitor, notify
from procfs_fuse.seccomp.abi import SCHED_GETAFFINITY, SYSINFO, SysInfo, abis
from procfs_fuse.seccomp.journal import ANSWERED, CONTINUED, Slot
from procfs_fuse.seccomp.listeners import Call, Listener, received
from procfs_fuse.seccomp.notify import Gone, Notification, Stopped
from procfs_fuse.seccomp.truth import Silent, Truth
from procfs_fuse.transport.loop import Loop

_LONGEST_SECONDS: Final = 0.01  # that an answer is repeated, if the file system itself does not change it before
_GOOD_SECONDS: Final = 30.0  # that it stands in for one that cannot be had
_MOST_REMEMBERED: Final = 4096
_MOST_LOGGED: Final = 1024

_Key = TypeVar("_Key")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the call returns, and what is written to the caller's memory before."""

    value: int
    address: int = 0
    data: bytes = b""


class Refusal(Exception):
    """The call is to be left to the kernel; the text says why."""


class _Known(NamedTuple):
    """Facts of one container."""

    facts: SysInfo | int
    until: float  # CLOCK_MONOTONIC


class Worker:
    """Serves listeners until there are none and none can come."""

    def __init__(self, slot: Slot, truth: Truth, clock: Callable[[], float] = time.monotonic) -> None:
        self.loop = Loop()
        self._slot = slot
        self._truth = truth
        self._clock = clock
        self._listeners: dict[int, Listener] = {}
        self._abis = {abi.audit_arch: abi for abi in abis()}
        self._fresh: dict[tuple[int, int, str], _Known] = {}  # by listener, thread and call
        self._good: dict[tuple[int, bytes, str], _Known] = {}  # by listener, /proc/PID/cgroup and call
        self._logged: set[tuple[str, str]] = set()

    @property
    def listeners(self) -> Mapping[int, Listener]:
        """By number."""
        return self._listeners

    def add(self, listener: Listener) -> None:
        """Serve this one, too; its descriptor is ours from here on."""
        self._listeners[listener.number] = listener
        self.loop.add_reader(listener.descriptor, lambda: self._readable(listener))

    def remove(self, listener: Listener) -> None:
        """Serve it no more."""
        self.loop.remove_reader(listener.descriptor)
        os.close(listener.descriptor)
        del self._listeners[listener.number]

    def recover(self) -> None:
        """Deal with what the worker before left in our slot."""
        left = self._slot.notification
        listener = self._listeners.get(self._slot.listener)
        if left is not None and listener is not None:
            if listener.by_monitor:
                monitor.settle(listener.descriptor, left.id)  # what remains is received once more
            else:
                self._deal_with(listener, Stopped(left, listener.descriptor))
        self._slot.clear()

    def _readable(self, listener: Listener) -> None:
        """Take one notification; others of the same container wait until the other containers have had their turn."""
        events = notify.events(listener.descriptor)
        if not events & select.POLLIN:
            if events & select.POLLHUP:  # the container's last process has ended
                self.remove(listener)
            return
        try:
            with contextlib.suppress(Gone), received(listener, self._slot) as call:
                self._deal_with(listener, call)
        except monitor.Closed:
            self.remove(listener)

    def _deal_with(self, listener: Listener, call: Call) -> None:
        with contextlib.suppress(Gone):
            try:
                answer = self._answer(listener, call.notification)
                self._deliver(call, answer)
                self._slot.count(ANSWERED)
            except Refusal as reason:
                self._resume(listener, call, str(reason))
            except OSError as error:
                self._resume(listener, call, f"{type(error).__name__}: {error.strerror}")

    def _resume(self, listener: Listener, call: Call, reason: str) -> None:
        call.resume()
        self._slot.count(CONTINUED)
        if (listener.label, reason) not in self._logged and len(self._logged) < _MOST_LOGGED:
            self._logged.add((listener.label, reason))
            log.warning("%s: the kernel answers itself: %s", listener.label, reason)

    def _deliver(self, call: Call, answer: Answer) -> None:
        if not answer.data:
            call.answer(answer.value)
            return
        memory = notify.open_memory(call.notification.pid)
        try:
            # Only now: before, the pid might have become another thread's between the call and our opening.
            if not call.is_valid():
                raise Gone
            self._slot.writing()
            written = notify.write_memory(memory, answer.address, answer.data)
        finally:
            os.close(memory)
        if written:
            call.answer(answer.value)
        else:
            call.fail(errno.EFAULT)

    def _answer(self, listener: Listener, call: Notification) -> Answer:
        abi = self._abis.get(call.arch)
        name = abi.call(call.number) if abi is not None else None
        if abi is None or name is None:
            raise Refusal(f"call {call.number} of architecture {call.arch:#x} is not one of ours")
        if call.pid == 0:
            raise Refusal("the caller is not in our pid namespace")
        if name == SCHED_GETAFFINITY:
            return self._affinity(listener, call, abi.bits)
        facts = self._facts(listener, call.pid, SYSINFO)
        if not isinstance(facts, SysInfo):
            raise Refusal("no facts")
        return Answer(0, call.arguments[0], facts.packed(abi.bits))

    def _affinity(self, listener: Listener, call: Notification, bits: int) -> Answer:
        if not listener.affinity:
            raise Refusal("affinity masks are not asked for (--affinity)")
        wanted, length, address, *_ = call.arguments
        pid = affinity.target(call.pid, wanted & 0xFFFFFFFF)
        if pid is None:
            raise Refusal("the mask of another process, whose number cannot be translated")
        count = self._facts(listener, call.pid, SCHED_GETAFFINITY)
        if not isinstance(count, int):
            raise Refusal("no facts")
        mask = affinity.mask(pid, length & 0xFFFFFFFF, bits)
        if mask is None:
            raise Refusal("the kernel knows better why this fails")
        return Answer(len(mask), address, answers.cut(mask, count))

    def _facts(self, listener: Listener, pid: int, call: str) -> SysInfo | int:
        key = (listener.number, pid, call)
        known = self._fresh.get(key)
        if known is None or self._clock() >= known.until:
            known = self._ask(listener, pid, call)
            _make_room(self._fresh)
            self._fresh[key] = known
        return known.facts

    def _ask(self, listener: Listener, pid: int, call: str) -> _Known:
        try:
            shown = self._truth.shown(pid, answers.FILES[call], listener.service)
        except Silent as reason:
            good = self._good.get((listener.number, _membership(pid), call))
            if good is None or self._clock() >= good.until:
                raise Refusal(f"the file system cannot be asked: {reason}") from reason
            return good._replace(until=0.0)
        if shown.container is None:
            raise Refusal("it is in no container, or containers are shown the machine's values")
        try:
            facts = answers.sysinfo(shown.files) if call == SYSINFO else answers.shown_cpus(shown.files)
        except (ValueError, KeyError, IndexError) as error:
            raise Refusal(f"the virtual files cannot be understood: {error!r}") from error
        now = self._clock()
        _make_room(self._good)
        self._good[listener.number, _membership(pid), call] = _Known(facts, now + _GOOD_SECONDS)
        return _Known(facts, min(now + _LONGEST_SECONDS, shown.until))


def _membership(pid: int) -> bytes:
    try:
        with open(f"/proc/{pid}/cgroup", "rb", buffering=0) as file:
            return file.read()
    except OSError:
        return b""


def _make_room(cache: dict[_Key, _Known]) -> None:
    if len(cache) >= _MOST_REMEMBERED:
        cache.clear()
