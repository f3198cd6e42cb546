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


def wait(pid: int) -> int:
    """Pass signals on to the child ``pid`` until it ends; its exit code, or 128 + the signal that ended it.

    Call `block` before.
    """
    killed_for = 0
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)  # first: its SIGCHLD may have come before signals were blocked
        if ended:
            return _code(status, killed_for)
        info = signal.sigwaitinfo(_PASSED_ON | {signal.SIGCHLD})
        if info.si_signo != signal.SIGCHLD and _pass_on(pid, info.si_signo, from_terminal=info.si_code == _SI_KERNEL):
            killed_for = killed_for or info.si_signo


def kill(pid: int) -> None:
    """End and reap the child."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


def _pass_on(pid: int, number: int, *, from_terminal: bool) -> bool:
    """Deliver a signal; True when its default action was to end the container, which is under way."""
    if not from_terminal:  # a terminal sends to the whole foreground group: the container has it already
        os.kill(pid, number)
    if number in _HARMLESS or _minds(pid, number):
        return False
    if number == signal.SIGTSTP:
        _stop_together(pid)
        return False
    os.kill(pid, signal.SIGKILL)
    return True


def _minds(pid: int, number: int) -> bool:
    """Whether the process catches, ignores or blocks the signal (proc_pid_status(5))."""
    bit = 1 << (number - 1)
    with open(f"/proc/{pid}/status", "rb") as status:
        fields = dict(line.split(b":", 1) for line in status.read().splitlines() if b":" in line)
    return any(int(fields[name], 16) & bit for name in (b"SigBlk", b"SigIgn", b"SigCgt"))


def _stop_together(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    os.kill(os.getpid(), signal.SIGTSTP)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTSTP})  # here we stop, until somebody sends SIGCONT
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTSTP})
    os.kill(pid, signal.SIGCONT)


def _code(status: int, killed_for: int) -> int:
    if os.WIFEXITED(status):
        return os.WEXITSTATUS(status)
    return 128 + (killed_for if killed_for and os.WTERMSIG(status) == signal.SIGKILL else os.WTERMSIG(status))


class Terminal:
    """The foreground of the controlling terminal, given back after a shell in the container took it."""

    def __init__(self) -> None:
        self._descriptor = -1
        with contextlib.suppress(OSError):
            self._descriptor = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC)
            if os.tcgetpgrp(self._descriptor) != os.getpgrp():
                self.close()

    def restore(self) -> None:
        """Make our process group the foreground one again if it was; SIGTTOU must be blocked."""
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                os.tcsetpgrp(self._descriptor, os.getpgrp())
            self.close()

    def close(self) -> None:
        """Forget the terminal."""
        os.close(self._descriptor)
        self._descriptor = -1


class Interrupted(BaseException):
    """A signal asked the launcher to stop before the container ran."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.code = 128 + number


def interrupt_on(numbers: Collection[signal.Signals]) -> None:
    """Raise `Interrupted` when one of these signals comes, unless our caller wanted it ignored."""

    def handle(number: int, _frame: object) -> None:
        raise Interrupted(number)

    for number in numbers:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, handle)
