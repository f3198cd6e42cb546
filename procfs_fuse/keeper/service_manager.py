"""What a service manager is told, and keeps for us: sd_notify(3), sd_listen_fds(3), FDSTORE.

Descriptors in its store outlive even the keeper. Without a service manager nothing here does anything.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping
from typing import Final

_FIRST_DESCRIPTOR: Final = 3  # SD_LISTEN_FDS_START
_ALIVE: Final = "WATCHDOG=1"
_SEND_SECONDS: Final = 1.0
_PREFIX: Final = "procfs-fuse-"


class ServiceManager:
    """The one that ``environ`` names, if it does."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        usec = environ.get("WATCHDOG_USEC", "")
        ours = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self.watchdog_seconds = int(usec) / 1e6 if usec.isdigit() and ours else None
        """It wants to hear `alive` that often; None when it does not."""

    @property
    def is_there(self) -> bool:
        """Whether somebody starts us again when we die."""
        return bool(self._address)

    def ready(self) -> None:
        """We serve."""
        self._notify(f"READY=1\nMAINPID={os.getpid()}\nSTATUS=serving")

    def stopping(self) -> None:
        """We end."""
        self._notify("STOPPING=1")

    def alive(self) -> None:
        """We are not stuck."""
        self._notify(_ALIVE)

    def store(self, descriptors: Mapping[str, int]) -> None:
        """Have it keep descriptors for our successor, under names."""
        for name, fd in descriptors.items():
            self._notify(f"FDSTORE=1\nFDNAME={_PREFIX}{name}", fd)

    def remove(self, names: Mapping[str, int]) -> None:
        """Have it close what it keeps."""
        for name in names:
            self._notify(f"FDSTOREREMOVE=1\nFDNAME={_PREFIX}{name}")

    def _notify(self, text: str, *descriptors: int) -> None:
        if not self._address:
            return
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifier:
            notifier.settimeout(
                0 if text == _ALIVE else _SEND_SECONDS
            )  # a manager that does not listen must not stop us
            notifier.connect(address)
            socket.send_fds(notifier, [text.encode()], list(descriptors))


def inherited(environ: Mapping[str, str] = os.environ) -> dict[str, int]:
    """The descriptors that a predecessor had stored, by name; they become ours alone. Others are left alone."""
    if environ.get("LISTEN_PID") != str(os.getpid()):
        return {}
    count = environ.get("LISTEN_FDS", "")
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    found: dict[str, int] = {}
    for fd, name in zip(range(_FIRST_DESCRIPTOR, _FIRST_DESCRIPTOR + int(count or 0)), names, strict=False):
        if name.startswith(_PREFIX):
            os.set_inheritable(fd, False)  # noqa: FBT003 - its only form
            found[name.removeprefix(_PREFIX)] = fd
    return found
