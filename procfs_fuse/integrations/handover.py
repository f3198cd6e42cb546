"""Keeping the mounts alive from one pod to the next: a service manager for one program.

Kubernetes starts the new pod of a DaemonSet before it ends the old one (``maxSurge``), and knows nothing of
descriptors. So each pod runs the keeper below a *holder*, which is told about descriptors as systemd is (sd_notify(3),
FDSTORE) and listens on a socket that the pods of a machine share. The new pod's holder connects to it; then

    old: has its keeper leave without unmounting, and sends the descriptors
    new: starts its keeper on them (sd_listen_fds(3)), and says ``served`` when that serves
    old: lets go of its own, and waits to be ended

Readers wait meanwhile, for as long as the new keeper takes to start. When the new one fails before it serves, the old
one goes on. A holder that is ended without having been relieved has the mounts taken away, those in containers first:
what they see from then on is the machine's, not dead files.
"""

from __future__ import annotations

import array
import contextlib
import json
import logging
import math
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from procfs_fuse import descriptors
from procfs_fuse.control_socket import bind_to, connect_to

_SERVED: Final = b"served\n"
_MOST_BYTES: Final = 1 << 16
_MOST_DESCRIPTORS: Final = 16
_FIRST_DESCRIPTOR: Final = 3  # SD_LISTEN_FDS_START
_OUT_OF_THE_WAY: Final = 100
_PATIENCE_SECONDS: Final = 60.0
_END_SECONDS: Final = 20.0  # for unmounting; Kubernetes gives a pod 30, and the program may still wait for readers
_RESTART_SECONDS: Final = 0.2
_TURN_SECONDS: Final = 0.5

log = logging.getLogger(__name__)


class Store:
    """What the program has stored: descriptors by name."""

    def __init__(self, held: Mapping[str, int] | None = None) -> None:
        self.held: dict[str, int] = dict(held or {})

    def take(self, message: bytes, fds: Sequence[int]) -> bool:
        """Follow one message of sd_notify; True when it says that the program is ready."""
        fields = dict(line.partition("=")[::2] for line in message.decode(errors="replace").splitlines())
        name = fields.get("FDNAME", "")
        if fields.get("FDSTORE") == "1" and fds and name:
            self._drop(name)
            self.held[name] = fds[0]
            fds = fds[1:]
        elif fields.get("FDSTOREREMOVE") == "1":
            self._drop(name)
        for fd in fds:
            os.close(fd)
        return fields.get("READY") == "1"

    def clear(self) -> None:
        """Let go of everything."""
        for name in list(self.held):
            self._drop(name)

    def _drop(self, name: str) -> None:
        if name in self.held:
            os.close(self.held.pop(name))


class Holder:
    """Runs one program and holds its descriptors, until it is told to stop."""

    def __init__(
        self, command: Sequence[str], unmount: Sequence[str], shared_socket: str, leave: Callable[[], None]
    ) -> None:
        """``command`` starts the program, ``unmount`` ends it; ``leave`` does without unmounting (raises Failure)."""
        self._command = list(command)
        self._unmount = list(unmount)
        self._path = shared_socket
        self._leave = leave
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._notify.bind("")  # an abstract name that the kernel chooses (unix(7), autobind)
        self._listener: socket.socket | None = None
        self._store = Store()
        self._child: int | None = None
        self._started_at = 0.0
        self._giver: socket.socket | None = None  # whom we have the descriptors of, until we serve
        self._taker: socket.socket | None = None  # who has ours, until it serves
        self._idle = False
        self._stopping = False
        self._serves = False
        self._unmounting: subprocess.Popen[bytes] | None = None
        self._is_told = False
        self._late_at = math.inf

    def run(self) -> int:
        """Hold on until a signal to stop; returns the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop())
        self._take_over()
        self._start()
        while not self._is_over():
            if self._stopping:
                self._end()
            self._turn()
        self._store.clear()
        return 0

    # ------------------------------------------------------------------------------------------ the program

    def _start(self) -> None:
        names = sorted(self._store.held)
        self._serves = False
        self._started_at = time.monotonic()
        self._child = os.fork()
        if self._child == 0:
            try:
                self._execute([self._store.held[name] for name in names], names)
            finally:
                os._exit(127)

    def _execute(self, fds: Sequence[int], names: Sequence[str]) -> None:
        name = self._name
        # Above all of them first: one may be where another is to go.
        copies = [os.dup2(fd, _OUT_OF_THE_WAY + position) for position, fd in enumerate(fds)]
        for position, fd in enumerate(copies):
            os.dup2(fd, _FIRST_DESCRIPTOR + position)
        os.closerange(_FIRST_DESCRIPTOR + len(copies), _OUT_OF_THE_WAY + len(copies))
        environment = {**os.environ, "NOTIFY_SOCKET": f"@{name}", "LISTEN_PID": str(os.getpid())}
        environment |= {"LISTEN_FDS": str(len(names)), "LISTEN_FDNAMES": ":".join(names)}
        os.execvpe(self._command[0], self._command, environment)  # noqa: S606 - that is the purpose

    @property
    def _name(self) -> str:
        """The name of the notification socket, without the zero byte in front."""
        address = self._notify.getsockname()
        return bytes(address).lstrip(b"\0").decode() if isinstance(address, bytes) else str(address).lstrip("\0")

    def _stop(self) -> None:
        if not self._stopping:
            self._stopping = True
            self._late_at = time.monotonic() + _END_SECONDS

    def _is_over(self) -> bool:
        """Whether there is nothing left to be done before our end, or no time."""
        is_waiting = not self._is_late and (self._taker is not None or self._is_unmounting)
        return self._stopping and self._child is None and not is_waiting

    @property
    def _is_late(self) -> bool:
        return time.monotonic() > self._late_at

    @property
    def _is_unmounting(self) -> bool:
        return self._unmounting is not None and self._unmounting.poll() is None

    def _end(self) -> None:
        """Take a step towards the program's end; one whose mounts another holder has, or gets back, is just ended."""
        if self._unmounting is not None and self._is_late:
            self._unmounting.kill()
        if self._child is None:
            return
        self._stop_listening()
        if self._giver is not None:
            os.kill(self._child, signal.SIGKILL)  # it does not serve yet: the mounts are the other's, who goes on
        elif self._serves and self._unmounting is None:
            self._unmounting = subprocess.Popen(self._unmount)
        elif self._is_late or (self._unmounting is not None and not self._is_unmounting):
            self._tell()

    def _tell(self) -> None:
        """Tell the program to end: once, as one that is told again gives up those who still read its files."""
        if self._child is not None and not self._is_told:
            self._is_told = True
            os.kill(self._child, signal.SIGTERM)

    def _reap(self) -> None:
        if self._child is None or os.waitpid(self._child, os.WNOHANG)[0] == 0:
            return
        self._child = None
        if not (self._stopping or self._idle or self._taker is not None):
            time.sleep(max(0.0, _RESTART_SECONDS - (time.monotonic() - self._started_at)))
            log.warning("the program ended and is started again, with %d descriptors", len(self._store.held))
            self._start()

    # --------------------------------------------------------------------------------------------- the loop

    def _turn(self) -> None:
        sockets = [self._notify, *(one for one in (self._listener, self._taker) if one is not None)]
        ready, _, _ = select.select(sockets, [], [], _TURN_SECONDS if self._child is None else _TURN_SECONDS / 5)
        if self._notify in ready:
            message, found = descriptors.receive(self._notify, _MOST_BYTES, _MOST_DESCRIPTORS)
            if self._store.take(message, found):
                self._is_ready()
        if self._listener in ready and self._taker is None:
            self._hand_over()
        elif self._taker in ready:
            self._hear_taker()
        self._reap()

    def _is_ready(self) -> None:
        self._serves = True
        if self._giver is not None:
            with contextlib.suppress(OSError):
                self._giver.sendall(_SERVED)
            self._giver.close()
            self._giver = None
        if self._listener is None and not self._stopping:
            self._listen()

    def _listen(self) -> None:
        """Be the one whom the next holder asks: the name goes to us in one step, whoever has it now."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        temporary = f"{self._path}.{os.getpid()}"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        bind_to(listener, temporary)
        os.chmod(temporary, 0o600)
        listener.listen(1)
        os.replace(temporary, self._path)
        self._listener = listener

    # ----------------------------------------------------------------------------------------- from old to new

    def _take_over(self) -> None:
        """Get the descriptors of the holder before us, if there is one."""
        giver = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        giver.settimeout(_PATIENCE_SECONDS)
        try:
            connect_to(giver, self._path)
            message, found = descriptors.receive(giver, _MOST_BYTES, _MOST_DESCRIPTORS)
            names = json.loads(message or b"[]")
        except (OSError, ValueError) as error:
            log.info("nobody hands over mounts (%s): starting anew", error)
            giver.close()
            return
        self._store = Store(dict(zip(names, found, strict=True)))
        self._giver = giver
        log.info("took over %s", ", ".join(names) or "nothing")

    def _hand_over(self) -> None:
        assert self._listener is not None  # noqa: S101 - for the type checker
        self._taker, _ = self._listener.accept()
        log.info("another holder asks for the mounts")
        try:
            self._end_program()
            names = sorted(self._store.held)
            payload = array.array("i", [self._store.held[name] for name in names])
            data = json.dumps(names).encode()
            self._taker.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, payload)] if names else [])
        except Exception as error:  # noqa: BLE001 - whatever it is, somebody has to serve
            log.error("the mounts cannot be handed over: %s", error)  # noqa: TRY400
            self._resume()

    def _end_program(self) -> None:
        if self._child is None:
            return
        self._leave()
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while os.waitpid(self._child, os.WNOHANG)[0] == 0:
            if time.monotonic() > deadline:
                os.kill(self._child, signal.SIGKILL)
            time.sleep(0.005)
        self._child = None

    def _hear_taker(self) -> None:
        assert self._taker is not None  # noqa: S101 - for the type checker
        try:
            said = self._taker.recv(len(_SERVED))
        except OSError:
            said = b""
        if said != _SERVED:
            log.warning("the other holder failed; going on")
            self._resume()
            return
        log.info("the other holder serves; waiting for our end")
        self._idle = True
        self._store.clear()
        self._taker.close()
        self._taker = None
        self._stop_listening()

    def _stop_listening(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _resume(self) -> None:
        if self._taker is not None:
            self._taker.close()
            self._taker = None
        if self._child is None:
            self._start()
