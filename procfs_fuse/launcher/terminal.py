"""The terminal's foreground, lent to the container and taken back.

A process group from outside of its pid namespace has the number 0 in it (pid_namespaces(7)). Shells that remember the
group they found, to restore it when they exit, fail at that: dash and ash end with an error of their own. So on a
terminal the command leads a group of its own in the foreground. The launcher *joins* that group: otherwise it would
not learn of Ctrl-C, whose default action a pid 1 leaves to it (see `supervisor`).

In a pipeline nothing of this is done: its other members share our group, and must stay in the foreground. Nor is it
for the leader of a session, which cannot change its group (setpgid(2)).
"""

from __future__ import annotations

import contextlib
import os


class Terminal:
    """Standard input, if it is our controlling terminal and we are in its foreground."""

    def __init__(self) -> None:
        self._group = os.getpgrp()
        try:
            self._ours = os.tcgetpgrp(0) == self._group
        except OSError:  # no terminal, or another session's
            self._ours = False
        self.interactive = self._ours and os.isatty(1) and os.getsid(0) != os.getpid()
        """Whether the container's first process is to lead a group, and that to get the foreground."""

    def hand_to(self, leader: int) -> None:
        """Put the group of ``leader`` into the foreground, and us into that group."""
        if self.interactive and self._is_foreground():
            os.tcsetpgrp(0, leader)
            os.setpgid(0, leader)

    def give_back(self) -> None:
        """Restore our own group and its place in the foreground, also when a shell in the container took it.

        SIGTTOU must be blocked. What cannot be restored, like a terminal that hung up, is nobody's any more.
        """
        if self._ours:
            with contextlib.suppress(OSError):
                if self.interactive:
                    os.setpgid(0, self._group)
                os.tcsetpgrp(0, self._group)

    def _is_foreground(self) -> bool:
        """False after ``bg``: then the terminal is the shell's."""
        try:
            return os.tcgetpgrp(0) == os.getpgrp()
        except OSError:
            return False
