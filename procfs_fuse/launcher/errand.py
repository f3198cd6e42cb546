"""What the janitor does while it waits: bring a container's listener to the agent when it is first needed.

Most commands never ask sysinfo(2), and an agent takes a while to start; so nothing is started before the first call.
The janitor does it because it is in the machine's namespaces: what the launcher starts is in the container's.
"""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Sequence

from cgscope.errors import Failure
from procfs_fuse.descriptors import receive


class Errand:
    """Both ends of the way from the launcher to its janitor."""

    def __init__(self, state_dir: str, name: str, metadata: str) -> None:
        """``state_dir`` is the agent's; ``name`` the container's; ``metadata`` says what is to be answered."""
        self._ours, self._theirs = socket.socketpair()
        self._destination = state_dir, name, metadata
        self._listener = -1
        self._is_fetched = False
        self._is_refused = False

    # ------------------------------------------------------------------------------- in the launcher

    @property
    def descriptors(self) -> Sequence[int]:
        """What the janitor must keep open."""
        return [self._theirs.fileno()]

    def send(self, listener: int) -> None:
        """Hand the listener to the janitor; our own descriptor is closed."""
        socket.send_fds(self._ours, [b"."], [listener])
        os.close(listener)

    # -------------------------------------------------------------------------------- in the janitor

    def fileno(self) -> int:
        """What to wait for, to become readable; -1: nothing is left to do."""
        return self._listener if self._is_fetched else self._theirs.fileno()

    def step(self) -> None:
        """Do what is possible now."""
        if not self._is_fetched:
            self._fetch()
            return
        from procfs_fuse.seccomp import notify  # noqa: PLC0415 - can be switched off

        if not notify.events(self._listener) & select.POLLIN:  # the container has ended
            self._let_go()
        elif self._is_refused:
            notify.pass_on(self._listener)
        else:
            self._bring()

    def _fetch(self) -> None:
        try:
            _data, found = receive(self._theirs, 1, 1)
        except OSError:
            found = []
        self._theirs.close()
        self._is_fetched = True
        self._listener = found[0] if found else -1

    def _bring(self) -> None:
        from procfs_fuse.seccomp import handover  # noqa: PLC0415 - most containers never need it

        state_dir, name, metadata = self._destination
        try:
            handover.deliver_or_start(state_dir, self._listener, name, metadata)
        except (OSError, Failure):
            self._is_refused = True  # better the machine's values than a program that waits for ever
            return
        self._let_go()

    def _let_go(self) -> None:
        os.close(self._listener)
        self._listener = -1
