"""The keeper's process: from the claim on an instance to the clean end of its mounts.

Order matters: the lock first (one server per mount point), then the mounts, then workers, then the record that lets
others find us; and backwards at the end. Instead of being mounted, the connections may come from the program that was
executed before in this process (an upgrade), from a worker whose keeper died, or from the service manager's store.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import resource
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from cgscope.errors import Failure
from procfs_fuse import mountpoint as mountpoints
from procfs_fuse import rights, syscalls
from procfs_fuse.background import resuming
from procfs_fuse.control_socket import Server, listen
from procfs_fuse.instances import USERS_LOCK, Claim, Instance
from procfs_fuse.keeper.holdings import Holdings
from procfs_fuse.keeper.journal import CONNECTIONS
from procfs_fuse.keeper.repairs import Repairs
from procfs_fuse.keeper.service_manager import ServiceManager
from procfs_fuse.keeper.supervision import Supervision
from procfs_fuse.keeper.taking_up import take_up
from procfs_fuse.priority import hurry
from procfs_fuse.settings import Settings
from procfs_fuse.transport.loop import Loop

DEFAULT_STOP_SECONDS: Final = 5.0

_UNUSED_CHECK_SECONDS: Final = 2.0  # only for launchers that were killed: the others tell us
_STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_SWITCH_SIGNAL: Final = signal.SIGUSR2  # what LXCFS takes, too
_REAP_SECONDS: Final = 2.0

log = logging.getLogger(__name__)


def serve(
    settings: Settings,
    words: Sequence[str],
    on_ready: Callable[[], None] = lambda: None,
    resume: str | None = None,
) -> None:
    """Serve until unmounted or told to stop; raises OSError or Failure when it cannot begin.

    ``words`` of `mount` make a process like this one; ``resume`` is what the program executed before it had to say.
    """
    syscalls.set_process_name("procfs-fuse")  # for ps and top, instead of python3
    syscalls.adopt_orphans()
    hurry()
    rights.keep()
    past: dict[str, Any] = json.loads(resume) if resume else {}
    lock = past["holdings"]["lock"] if past else None
    claim = Claim(settings.directory, lock)
    manager = ServiceManager()
    keeps_state = True  # the log says what failed
    try:
        holdings = Holdings.from_json(past["holdings"]) if past else take_up(settings, claim, manager)
        holdings.set_inheritable(inheritable=False)
        keeper = _Keeper(settings, words, holdings, manager, past)
        keeper.run(claim, on_ready)
        keeps_state = keeper.leaves  # whoever serves next knows from it which file is whose
    finally:
        claim.release(keeps_state=keeps_state)


class _Keeper:
    """The process with its ways to be stopped: signals, the control socket, the end of its last user."""

    def __init__(
        self,
        settings: Settings,
        words: Sequence[str],
        holdings: Holdings,
        manager: ServiceManager,
        past: Mapping[str, Any],
    ) -> None:
        self._settings = settings
        self._words = words
        self._manager = manager
        self._holdings = holdings
        started = past.get("started_at", time.time())
        self._instance = Instance(
            settings.directory, settings.mountpoint, os.getpid(), started, automatic=settings.automatic
        )
        self._loop = Loop(spin_ns=0)
        estate = {
            "settings": settings.to_json(),
            "holdings": holdings.to_json(),
            "keeper": list(words),
            "supervised": manager.is_there,
        }
        self._supervision = Supervision(self._loop, holdings, estate, settings.request_seconds)
        self._crew = self._supervision.crew
        self._crew.restarts = past.get("restarts", 0)
        self._crew.passthrough = past.get("passthrough", False)
        self._crew.adopt(past.get("workers", []))
        self._repairs = Repairs(self._loop, self._instance, past.get("repaired", []))
        self._fresh = not past
        self._generation = past.get("generation", 0)
        self._stopping = False
        self.leaves = False
        self._successor: list[str] = []
        self._failure: OSError | None = None
        self._users = _open_users(settings.directory) if settings.automatic else None
        control = past.get("control")
        self._listener = listen(self._instance.control) if control is None else socket.socket(fileno=control)

    def run(self, claim: Claim, on_ready: Callable[[], None]) -> None:
        """Keep everything up until the end."""
        operations = {
            "status": self._status,
            "unmount": self._unmount,
            "release": self._release,
            "restart": self._restart,
            "leave": self._leave,
        }
        Server(self._listener, self._loop, operations)
        wakeup = self._watch_signals()
        if self._users is not None:
            self._loop.call_every(_UNUSED_CHECK_SECONDS, self._stop_when_unused)
        if self._manager.watchdog_seconds is not None:
            self._loop.call_every(self._manager.watchdog_seconds / 3, self._manager.alive)
        self._crew.on_serving = lambda: self._is_served(claim, on_ready)
        if not self._fresh:
            claim.publish(self._instance)
            self._manager.ready()
        try:
            with _pidfile(self._settings.pidfile):
                self._crew.tick()
                self._loop.run(endless=True)
                if self._failure is not None:
                    raise self._failure
                while self._successor:
                    self._execute(self._successor)  # returns only when it failed
                    self._loop.run(endless=True)
        finally:
            signal.set_wakeup_fd(-1)
            wakeup.close()
            self._end()

    def stop(self, patience_seconds: float) -> list[str]:
        """Unmount; programs that still use the files are served on, but no longer than that. Returns what was busy."""
        if self._stopping:
            self._loop.stop()
            return []
        self._stopping = True
        self._manager.stopping()
        paths = (self._instance.mountpoint, self._instance.containers)
        busy = [path for path in paths if not mountpoints.unmount(path)]
        if patience_seconds > 0 and self._crew.serving is not None:
            self._loop.call_every(patience_seconds, self._loop.stop)
        else:
            self._loop.stop()
        return busy

    # ----------------------------------------------------------------------------------- beginning and end

    def _is_served(self, claim: Claim, on_ready: Callable[[], None]) -> None:
        if not self._fresh:
            return
        self._fresh = False
        try:
            claim.publish(self._instance)
            on_ready()
        except OSError as error:  # whoever started us waits to hear of it
            self._failure = error
            self._loop.stop()
            return
        self._manager.ready()
        self._repairs.start()
        log.info("serving %s", self._instance.mountpoint)

    def _end(self) -> None:
        # Whoever gives up because nothing more can be opened must still find out what to unmount.
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        if not self.leaves:
            self._manager.remove(dict.fromkeys((*CONNECTIONS, "journal"), 0))
            for path in (self._instance.mountpoint, self._instance.containers):
                mountpoints.detach(path)
        self._supervision.close(_REAP_SECONDS)
        for fd in (self._holdings.open, self._holdings.cached, self._holdings.journal, self._holdings.listener):
            os.close(fd)
        log.info("stopped serving %s", self._instance.mountpoint)
        if self._supervision.gave_up:
            raise Failure("nobody could serve", f"see {self._instance.directory}/log")

    def _execute(self, program: list[str]) -> None:
        """Become another version of this program, with everything that we hold."""
        self._successor = []
        self._crew.recruiting.drop()
        self._holdings.set_inheritable(inheritable=True)
        os.set_inheritable(self._listener.fileno(), True)  # noqa: FBT003 - its only form
        state = {
            "holdings": self._holdings.to_json(),
            "workers": self._crew.to_json(),
            "generation": self._generation + 1,
            "restarts": self._crew.restarts,
            "passthrough": self._crew.passthrough,
            "started_at": self._instance.started_at,
            "control": self._listener.fileno(),
            "repaired": self._repairs.found,
        }
        log.info("restarting as %s", program[0])
        try:
            os.execv(program[0], resuming(self._words, state, program))  # noqa: S606 - that is the purpose
        except OSError as error:
            log.error("the new version cannot be executed, the old one goes on: %s", error)  # noqa: TRY400
            self._holdings.set_inheritable(inheritable=False)

    # -------------------------------------------------------------------------------------------- events

    def _watch_signals(self) -> socket.socket:
        """Turn signals into events of the loop: a Python handler alone would wait for something to wake us."""
        reader, writer = socket.socketpair()
        reader.settimeout(0)
        writer.settimeout(0)
        for number in (*_STOP_SIGNALS, _SWITCH_SIGNAL, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        self._wakeup_writer = writer  # the descriptor lives as long as its owner

        def wake() -> None:
            signals = reader.recv(64)  # their numbers, a byte each (signal.set_wakeup_fd)
            self._supervision.reap()
            if signals.count(_SWITCH_SIGNAL) % 2:
                self._crew.passthrough = not self._crew.passthrough
                self._crew.tell({"passthrough": self._crew.passthrough})
            if set(signals) & set(_STOP_SIGNALS):
                self.stop(DEFAULT_STOP_SECONDS)

        self._loop.add_reader(reader.fileno(), wake)
        return reader

    def _status(self, _request: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "mountpoint": self._instance.mountpoint,
            "state_dir": self._instance.directory,
            "words": list(self._words),
            "stopping": self._stopping,
            "pid": self._instance.pid,
            "keeper_pid": self._instance.pid,
            "worker_pids": self._crew.pids,
            "nursery_pid": self._crew.recruiting.pid,
            "generation": self._generation,
            "retiring": any(one.retiring for one in self._crew.workers),
            "served": self._crew.serving is not None and self._crew.serving.serving,
            "restarts": self._crew.restarts,
            "hung": self._crew.hung,
            "repaired": self._repairs.found,
            "uptime_seconds": round(max(0.0, time.time() - self._instance.started_at), 3),
            "transport": self._instance.transport,
            "automatic": self._instance.automatic,
        }

    def _unmount(self, request: Mapping[str, Any]) -> dict[str, Any]:
        patience = request.get("patience_seconds")
        return {"busy": self.stop(float(patience) if isinstance(patience, int | float) else DEFAULT_STOP_SECONDS)}

    def _restart(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Go on as the program that is asked for; who asks has tested that it works."""
        program, path = request.get("program"), request.get("pythonpath")
        if not isinstance(program, list) or not program or self._stopping:
            raise Failure("not now: it is stopping" if self._stopping else "restart as what?")
        if isinstance(path, str):
            os.environ["PYTHONPATH"] = path
        if isinstance(words := request.get("words"), list):
            self._words = [str(word) for word in words]
        self._successor = [str(word) for word in program]
        self._loop.stop()
        return {"restarts": self._crew.restarts}

    def _leave(self, _request: Mapping[str, Any]) -> dict[str, Any]:
        """End without unmounting: the service manager keeps the descriptors for the next process."""
        if not self._manager.is_there:
            raise Failure("no service manager keeps the mounts")
        self.leaves = True
        self._loop.stop()
        return {}

    def _release(self, _request: Mapping[str, Any]) -> dict[str, Any]:
        return {"stopping": self._stop_when_unused()}

    def _stop_when_unused(self) -> bool:
        """Stop if no launcher holds the users' lock; from then on we hold it, so that a new one waits for our end."""
        if self._users is None or self._stopping:
            return self._stopping
        try:
            fcntl.flock(self._users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        self.stop(DEFAULT_STOP_SECONDS)
        return True


@contextlib.contextmanager
def _pidfile(path: str | None) -> Iterator[None]:
    """Keep our process id in a file for as long as we serve."""
    if path is None:
        yield
        return
    with open(path, "w", encoding="ascii") as file:
        file.write(f"{os.getpid()}\n")
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.unlink(path)


def _open_users(directory: str) -> int:
    return os.open(os.path.join(directory, USERS_LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
