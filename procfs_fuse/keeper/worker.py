"""A process that serves: first it stands by with everything open, then it takes over where its predecessor died."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from cgscope.errors import Failure
from procfs_fuse import syscalls
from procfs_fuse.background import resuming
from procfs_fuse.control_socket import Server
from procfs_fuse.keeper.channel import Channel, Closed
from procfs_fuse.keeper.holdings import Holdings
from procfs_fuse.keeper.journal import CONNECTIONS, Journal, Kept
from procfs_fuse.priority import hurry, take_turns
from procfs_fuse.service import Link, Service
from procfs_fuse.settings import Settings
from procfs_fuse.transport.negotiation import Negotiated

MOST_DEATHS: Final = 6
"""A request that so many workers died of in a row is answered EIO; one that hung counts for two."""

_LONGEST_PAUSE_SECONDS: Final = 10

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Estate:
    """All that a worker needs to know."""

    settings: Settings
    holdings: Holdings
    keeper: Sequence[str]  # words of `mount` for a keeper like ours
    supervised: bool  # somebody else starts a new keeper when ours dies

    def to_json(self) -> dict[str, object]:
        """As JSON types."""
        return {
            "settings": self.settings.to_json(),
            "holdings": self.holdings.to_json(),
            "keeper": list(self.keeper),
            "supervised": self.supervised,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Estate:
        """Inverse of `to_json`."""
        holdings = Holdings.from_json(data["holdings"])
        return cls(Settings.from_json(data["settings"]), holdings, data["keeper"], data["supervised"])


def work(channel: Channel, estate: Estate) -> NoReturn:
    """Stand by, serve, and end the process."""
    syscalls.set_process_name("procfs-worker")
    os.setsid()  # so that its priority is its own, see `priority`
    worker = _Worker(channel, estate)
    try:
        worker.run()
    except Exception:
        log.exception("a worker ended")
        os._exit(1)
    os._exit(0)


class _Worker:
    """One worker, from its first message to its last."""

    def __init__(self, channel: Channel, estate: Estate) -> None:
        self._channel = channel
        self._estate = estate
        settings = estate.settings
        self._journal = Journal(estate.holdings.journal)
        self._service = service_of(settings)
        self._serving = False
        self._slot: int | None = None
        self._keepers_lost = 0
        self._service.loop.add_reader(channel.fileno(), self._receive)

    def run(self) -> None:
        """Do as told until there is nothing more to serve, or to be told."""
        self._service.rehearse()
        hurry()
        self._channel.send({"ready": os.getpid()})
        self._service.run()
        if self._service.is_over:
            self._channel.send({"over": True})

    def _receive(self) -> None:
        try:
            received = self._channel.receive()
        except Closed:
            if self._serving and not self._estate.supervised:
                self._replace_keeper()
            else:
                self._service.stop()
            return
        message = {} if received is None else received[0]
        if "serve" in message:
            self._serve(message)
        if "passthrough" in message:
            self._service.contents.switch(passthrough=message["passthrough"])
        if message.get("retire"):
            self._service.stop()

    def _serve(self, order: Mapping[str, Any]) -> None:
        """Take over: first what the dead one had begun, then everything else."""
        slot = self._slot = order["serve"]
        spoiled = [name for name in CONNECTIONS if self._journal.under_way(slot, name)]
        spoiled = [name for name in spoiled if self._journal.charge(slot, name, order["deaths"]) >= MOST_DEATHS]
        charter = self._journal.charter()
        self._service.begin(
            {
                name: Link(
                    getattr(self._estate.holdings, name),
                    Negotiated.unpack(bytes.fromhex(charter["negotiated"][name])),
                    self._journal.buffer(slot, name),
                    Kept(self._journal, slot, name),
                )
                for name in CONNECTIONS
            }
        )
        self._finish_requests(slot, spoiled, order["fenced"])
        self._open_control()
        self._serving = True
        self._channel.send({"serving": True})
        take_turns()

    def _finish_requests(self, slot: int, spoiled: Sequence[str], fenced: Sequence[int]) -> None:
        for name, connection in self._service.connections.items():
            for other in fenced:
                if unique := self._journal.under_way(other, name):
                    log.error("a request is answered EIO: its worker does not die (stuck in the kernel)")
                    connection.refuse(unique)
            if name in spoiled:
                log.error("a request is answered EIO: several workers died of it")
                connection.refuse(self._journal.under_way(slot, name))
                self._journal.clear(slot, name)
            else:
                connection.recover()
            if connection.negotiated is not None and connection.negotiated.has_resend:
                with contextlib.suppress(OSError):  # the connection is over: the loop notices
                    connection.notifier.resend()

    def _open_control(self) -> None:
        listener = socket.socket(fileno=os.dup(self._estate.holdings.listener))
        operations = {
            "status": lambda _: self._service.status(),
            "passthrough": self._passthrough,
            "shown": self._service.questions.answer,
        }
        Server(listener, self._service.loop, operations)

    def _passthrough(self, request: Mapping[str, Any]) -> dict[str, Any]:
        if not isinstance(request.get("on"), bool):
            raise Failure("passthrough is on or off")
        self._channel.send({"passthrough": request["on"]})  # first: the next worker has to know
        self._service.contents.switch(passthrough=request["on"])
        return {"passthrough": request["on"]}

    def _replace_keeper(self) -> None:
        """Have a keeper, as nobody else has the descriptors: this process becomes it, its child goes on serving."""
        log.error("the keeper is gone: process %d takes its place", os.getpid())
        self._service.pause()
        self._service.loop.remove_reader(self._channel.fileno())
        self._channel.close()
        try:
            ours, theirs = Channel.pair()
            child = os.fork()
        except OSError as error:
            log.error("readers have to wait for the next keeper: %s", error)  # noqa: TRY400 - nobody needs to see where
            self._become_keeper([])
        if child:
            os.set_inheritable(ours.fileno(), True)  # noqa: FBT003 - its only form
            self._become_keeper([{"pid": child, "channel": ours.fileno(), "slot": self._slot}])
        ours.close()
        self._keepers_lost += 1
        self._channel = Channel(theirs)
        self._journal.lock()  # that is not inherited
        self._service.loop.add_reader(theirs, self._receive)
        self._service.resume()

    def _become_keeper(self, workers: Sequence[Mapping[str, object]]) -> NoReturn:
        """Execute the keeper, which has a fresh worker take over from these."""
        time.sleep(min(self._keepers_lost, _LONGEST_PAUSE_SECONDS))  # in which they serve
        holdings = self._estate.holdings
        holdings.set_inheritable(inheritable=True)
        passthrough = self._service.contents.passthrough
        state = {"holdings": holdings.to_json(), "restarts": 1, "workers": workers, "passthrough": passthrough}
        try:
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            command = resuming(self._estate.keeper, state)
            os.execv(command[0], command)  # noqa: S606 - that is the purpose
        finally:
            os._exit(1)  # whoever still serves notices, and tries again


def service_of(settings: Settings) -> Service:
    """Make a service that stands by."""
    return Service(
        mountpoint=settings.mountpoint,
        state_dir=settings.directory,
        ttl_ms=settings.ttl_ms,
        policy=settings.policy,
        selection=settings.selection,
    )
