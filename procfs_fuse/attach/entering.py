"""Doing something inside of a container's namespaces, in a process that lives for nothing else.

It is forked from a process with one thread, never becomes dumpable (nobody inside can look into it), has no more
descriptors than it needs, and is killed when it takes too long: what it touches may be a file system that hangs.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import signal
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, NoReturn, Self

from cgscope.errors import explain
from procfs_fuse import syscalls
from procfs_fuse.attach.outcome import Reason
from procfs_fuse.attach.target import Gone, Target
from procfs_fuse.descriptors import close_all_but

Work = Callable[[int], Mapping[str, Any]]
"""Gets a descriptor of the machine's procfs; returns what is to be sent back, as JSON types."""

PATIENCE_SECONDS: Final = 20.0
_MOST_ANSWER_BYTES: Final = 1 << 20


class Failed(Exception):
    """The work could not be done; the text is for people."""

    def __init__(self, text: str, reason: Reason = Reason.HELPER) -> None:
        super().__init__(text)
        self.reason = reason


def inside(target: Target, work: Work, keep: Collection[int], patience_seconds: float = PATIENCE_SECONDS) -> Any:  # noqa: ANN401 - JSON
    """Have an `Errand` done and wait for it; returns its answer. Raises `Failed`, `Gone`."""
    with Errand(target, work, keep, patience_seconds) as errand:
        return errand.answer()


class Errand:
    """``work`` that is being done in the target's mount and pid namespaces, at its root.

    ``keep`` are descriptors that it needs. The target must stay open until the errand is closed, which ends it.
    Raises `Failed`, or `Gone` when the target ended meanwhile.
    """

    def __init__(
        self, target: Target, work: Work, keep: Collection[int], patience_seconds: float = PATIENCE_SECONDS
    ) -> None:
        self._target = target
        self._patience_seconds = patience_seconds
        self._deadline = time.monotonic() + patience_seconds
        with contextlib.ExitStack() as undo, contextlib.ExitStack() as begun:
            proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            begun.callback(os.close, proc)
            self._answers, channel = os.pipe()
            undo.callback(os.close, self._answers)
            begun.callback(os.close, channel)
            pid = _fork_into(target)
            if pid == 0:
                kept = {*keep, proc, channel, target.mount_namespace, target.root}
                _become(target, work, proc, channel, kept)
            undo.callback(_end, pid)
            self._undo = undo.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._undo.close()

    def answer(self) -> Any:  # noqa: ANN401 - JSON
        """Wait for what the work returned. Raises `Failed`, `Gone`."""
        answer = _collect(self._answers, self._deadline)
        if answer is None:
            text = f"no end after {self._patience_seconds:g} s: something that is mounted there hangs"
            raise Failed(text, Reason.HANGS)
        if not answer:
            if self._target.gone:
                raise Gone(self._target.pid)
            raise Failed("the helper process was killed")
        result = json.loads(answer)
        if "problem" in result:
            if result["gone"] or self._target.gone:
                raise Gone(self._target.pid)
            raise Failed(result["problem"])
        return result["ok"]


def _become(target: Target, work: Work, proc: int, channel: int, keep: Collection[int]) -> NoReturn:
    """Be the helper process. Never returns."""
    try:
        signal.set_wakeup_fd(-1)
        signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
        syscalls.set_parent_death_signal(signal.SIGKILL)
        syscalls.set_not_dumpable()
        close_all_but(keep)
        syscalls.setns(target.mount_namespace, syscalls.CLONE_NEWNS)
        os.fchdir(target.root)
        os.chroot(".")
        _tell(channel, {"ok": work(proc)})
    except OSError as error:
        _tell(channel, {"problem": explain(error), "gone": error.errno == errno.ESRCH})
    except BaseException as error:  # noqa: BLE001 - whatever it is, this process must not return into its parent
        _tell(channel, {"problem": f"{type(error).__name__}: {error}", "gone": False})
    finally:
        os._exit(0)


def _fork_into(target: Target) -> int:
    """Fork a child that is in the target's pid namespace. Raises `Failed`, `Gone`."""
    try:
        return os.fork() if target.pid_namespace is None else _fork_in(target.pid_namespace)
    except OSError as error:
        if target.gone or (target.pid_namespace is not None and error.errno == errno.ENOMEM):  # a dead namespace
            raise Gone(target.pid) from error
        raise Failed(f"no helper process can be made: {error.strerror}") from error


def _fork_in(pid_namespace: int) -> int:
    """Fork a child in another pid namespace: who enters one stays outside, and only its children are in."""
    own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    child = None
    try:
        syscalls.setns(pid_namespace, syscalls.CLONE_NEWPID)
        child = os.fork()
        return child
    finally:
        if child != 0:
            syscalls.setns(own, syscalls.CLONE_NEWPID)  # for the next one
        os.close(own)


def _tell(channel: int, answer: Mapping[str, Any]) -> None:
    data = json.dumps(answer, ensure_ascii=True).encode()
    with contextlib.suppress(OSError):
        while data:
            data = data[os.write(channel, data) :]


def _collect(answers: int, deadline: float) -> bytes | None:
    """All that a helper says until its end; None when it takes too long."""
    poll = select.poll()
    poll.register(answers, select.POLLIN)
    parts: list[bytes] = []
    while poll.poll(max(deadline - time.monotonic(), 0) * 1000):
        part = os.read(answers, _MOST_ANSWER_BYTES)
        if not part:
            return b"".join(parts)
        parts.append(part)
    return None


def _end(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)
