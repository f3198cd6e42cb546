"""Waiting for a container: signals go in, the exit status comes out.

The container's first process is pid 1 of its pid namespace, and the kernel drops every signal that such a process has
no handler for (pid_namespaces(7)). Whoever sends SIGTERM to the launcher expects it to end the container all the same,
so the default action of a signal is carried out here.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Collection
from typing import Final

from procfs_fuse.launcher.terminal import Terminal

_OURS: Final = frozenset({signal.SIGCHLD, signal.SIGPIPE, signal.SIGTTIN, signal.SIGTTOU})
_FAULTS: Final = frozenset({signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP, signal.SIGSYS})
_PASSED_ON: Final = frozenset(signal.valid_signals()) - _OURS - _FAULTS - {signal.SIGKILL, signal.SIGSTOP}
_HARMLESS: Final = frozenset({signal.SIGCONT, signal.SIGURG, signal.SIGWINCH})  # ignored by default, signal(7)
_SI_KERNEL: Final = 0x80  # si_code of what a terminal sends, include/uapi/asm-generic/siginfo.h


def block() -> set[signal.Signals]:
    """Keep signals pending for `wait`; returns the mask that was in force."""
    if signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # inherited; the kernel would throw the exit status away
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _PASSED_ON | _OURS)
    return {number for number in before if isinstance(number, signal.Signals)}


def wait(pid: int, terminal: Terminal) -> int:
    """Pass signals on to the child ``pid`` until it ends; its exit code, or 128 + the signal that ended it.

    Call `block` before.
    """
    killed_for = 0
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)  # first: its SIGCHLD may have come before signals were blocked
        if ended:
            return _code(status, killed_for)
        info = signal.sigwaitinfo(_PASSED_ON | {signal.SIGCHLD})
        if info.si_signo == signal.SIGCHLD:
            continue
        if info.si_code != _SI_KERNEL or os.getpgid(pid) != os.getpgrp():  # a terminal sends to the whole group
            os.kill(pid, info.si_signo)
        if info.si_signo not in _HARMLESS and not _minds(pid, info.si_signo):
            killed_for = _default_action(pid, info.si_signo, terminal) or killed_for


def kill(pid: int) -> None:
    """End and reap the child."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


def _default_action(pid: int, number: int, terminal: Terminal) -> int:
    """Do what the kernel would have done to any process but a pid 1; the signal if that ends it, else 0."""
    if number == signal.SIGTSTP:
        _stop_together(pid, terminal)
        return 0
    os.kill(pid, signal.SIGKILL)
    return number


def _minds(pid: int, number: int) -> bool:
    """Whether the process catches, ignores or blocks the signal (proc_pid_status(5))."""
    bit = 1 << (number - 1)
    with open(f"/proc/{pid}/status", "rb") as status:
        fields = dict(line.split(b":", 1) for line in status.read().splitlines() if b":" in line)
    return any(int(fields[name], 16) & bit for name in (b"SigBlk", b"SigIgn", b"SigCgt"))


def _stop_together(pid: int, terminal: Terminal) -> None:
    os.kill(pid, signal.SIGSTOP)
    terminal.give_back()
    os.kill(os.getpid(), signal.SIGTSTP)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTSTP})  # here we stop, until somebody sends SIGCONT
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTSTP})
    terminal.hand_to(pid)
    os.kill(pid, signal.SIGCONT)


def _code(status: int, killed_for: int) -> int:
    if os.WIFEXITED(status):
        return os.WEXITSTATUS(status)
    return 128 + (killed_for if killed_for and os.WTERMSIG(status) == signal.SIGKILL else os.WTERMSIG(status))


class Interrupted(BaseException):
    """A signal asked the launcher to stop before the container ran."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.code = 128 + number


class Interruptions:
    """Makes signals raise `Interrupted`, but for those that our caller wanted ignored."""

    def __init__(self, numbers: Collection[signal.Signals]) -> None:
        self._came = 0
        for number in numbers:
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._handle)

    def check(self) -> None:
        """Raise `Interrupted` if a signal came: Python drops what a handler raises while it finalises an object."""
        if self._came:
            raise Interrupted(self._came)

    def _handle(self, number: int, _frame: object) -> None:
        self._came = number
        raise Interrupted(number)
