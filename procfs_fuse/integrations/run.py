"""``procfs-fuse run``: a command in a container of its own, with its virtual files, and nothing left afterwards.

The launcher stays outside: it makes the cgroup, forks the container's first process into new namespaces, passes
signals on, and cleans up; a janitor does the last if the launcher is killed.
"""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any, Final

from cgroup_model import control
from cgroup_model.control import ControlError, Limits
from cgroup_model.mounts import Mounts, OutOfSight, discover_mounts
from cgscope.errors import Failure
from procfs_fuse import bindings, syscalls
from procfs_fuse.descriptors import receive
from procfs_fuse.instances import Registry
from procfs_fuse.launcher import cgroups, child, clocks, supervisor
from procfs_fuse.launcher.container import PARENT_CGROUP, Container, new_id
from procfs_fuse.launcher.errand import Errand
from procfs_fuse.launcher.janitor import Janitor
from procfs_fuse.launcher.lease import Lease, acquire
from procfs_fuse.launcher.records import Records
from procfs_fuse.launcher.terminal import Terminal
from procfs_fuse.seccomp.abi import SCHED_GETAFFINITY, SYSINFO
from procfs_fuse.seccomp.words import metadata

_STOPPING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_MOST_ANSWER_BYTES: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asked for."""

    command: tuple[str, ...]
    limits: Limits = field(default_factory=Limits)
    name: str | None = None
    rootfs: str | None = None
    user: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    hostname: str | None = None
    mountpoint: str | None = None  # of the instance to use
    sysinfo: bool = True  # whether sysinfo(2) is answered as the files are
    affinity: bool = False  # whether sched_getaffinity(2) is
    note: Callable[[str], object] = lambda _text: None  # is told what works less well than it might


def run(request: Request, registry: Registry) -> int:
    """Run the container to its end; returns its exit code. Raises Failure when it could not be started."""
    interruptions = supervisor.Interruptions(_STOPPING)
    try:
        return _run(request, registry, interruptions)
    except (ControlError, OutOfSight) as error:
        raise Failure(str(error)) from error
    except supervisor.Interrupted as interrupted:
        return interrupted.code


def _run(request: Request, registry: Registry, interruptions: supervisor.Interruptions) -> int:
    mounts = discover_mounts()
    records = Records(registry.base)
    for leftover in records.leftovers():
        cgroups.destroy(mounts, f"{PARENT_CGROUP}/{leftover.id}")
        leftover.remove()
    container = _container(request, mounts)
    with ExitStack() as last, ExitStack() as undo:
        record = records.take(container.id)
        undo.callback(record.remove)
        lease = acquire(registry, request.mountpoint)
        undo.callback(lease.release)
        cgroups.make(mounts, container.cgroup, request.limits)
        undo.callback(cgroups.destroy, mounts, container.cgroup)  # only now: before, it might have been another's
        undo.callback(supervisor.block)  # a second signal must not interrupt the cleaning
        errand = _errand(request, registry, container, lease) if container.answered else None
        janitor = Janitor(undo.close, [record.descriptor, *lease.descriptors], errand)
        last.callback(janitor.dismiss)
        return _Launch(_with_files(container, lease), janitor, interruptions, errand, request.note).run()


def _container(request: Request, mounts: Mounts) -> Container:
    container_id = request.name or new_id()
    default_hostname = container_id if request.rootfs or request.name else None
    return Container(
        id=container_id,
        command=request.command,
        mounts=mounts,
        rootfs=request.rootfs,
        user=request.user,
        environment=request.environment,
        hostname=request.hostname or default_hostname,
        answered=tuple(_answered(request)),
    )


def _answered(request: Request) -> Iterator[str]:
    if request.sysinfo:
        yield SYSINFO
    if request.affinity:
        yield SCHED_GETAFFINITY


def _errand(request: Request, registry: Registry, container: Container, lease: Lease) -> Errand:
    words = metadata(affinity=request.affinity, service=lease.instance.service)
    return Errand(registry.base, container.id, words)


def _with_files(container: Container, lease: Lease) -> Container:
    return replace(container, files=tuple(bindings.of_container(lease.tree(container))))


class _Launch:
    """The life of the container's first process, seen from outside."""

    def __init__(
        self,
        container: Container,
        janitor: Janitor,
        interruptions: supervisor.Interruptions,
        errand: Errand | None,
        note: Callable[[str], object],
    ) -> None:
        self._container = container
        self._janitor = janitor
        self._interruptions = interruptions
        self._errand = errand
        self._note = note
        self._terminal = Terminal()

    def run(self) -> int:
        ours, theirs = socket.socketpair()
        syscalls.unshare(syscalls.CLONE_NEWPID)  # for children: the next one is pid 1 of the new namespace
        clocks.start_at_zero()
        mask = supervisor.block()
        pid = os.fork()
        if pid == 0:
            os.close(self._janitor.descriptor)
            ours.close()
            child.start(self._container, theirs, mask, own_group=self._terminal.interactive)
        theirs.close()
        try:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            self._hand_over(pid, ours)
            return supervisor.wait(pid, self._terminal)
        finally:
            supervisor.block()
            supervisor.kill(pid)
            self._terminal.give_back()

    def _hand_over(self, pid: int, channel: socket.socket) -> None:
        """See the child through until it has become the command; raises Failure with its reason when it cannot."""
        with channel:
            self._use_listener(*_receive(channel))
            supervisor.block()  # from here on signals are the command's, see `supervisor.wait`
            self._interruptions.check()
            self._terminal.hand_to(pid)
            control.add_process(self._container.mounts, self._container.cgroup, pid)
            channel.sendall(b".")
            if answer := _receive(channel)[0]:  # else the end of file: exec closed it
                _raise_if_failed(answer)

    def _use_listener(self, answer: Mapping[str, Any], listener: int | None) -> None:
        if not answer:
            raise Failure("the container's first process was killed while it was being set up")
        _raise_if_failed(answer)
        if listener is not None and self._errand is not None:
            self._errand.send(listener)
        elif answer[child.PREPARED]:
            self._note(f"sysinfo(2) shows the machine's values in this container: {answer[child.PREPARED]}")


def _receive(channel: socket.socket) -> tuple[Mapping[str, Any], int | None]:
    """A message of the child, and the descriptor that came with it; an empty one at the end."""
    data, descriptors = b"", list[int]()
    while not data.endswith(b"\n") and len(data) < _MOST_ANSWER_BYTES:
        part, more = receive(channel, _MOST_ANSWER_BYTES, 1)
        if not part:
            return {}, None
        data, descriptors = data + part, [*descriptors, *more]
    return json.loads(data), descriptors[0] if descriptors else None


def _raise_if_failed(answer: Mapping[str, Any]) -> None:
    if child.PREPARED not in answer:
        raise Failure(answer["message"], answer["advice"], code=answer["code"])
