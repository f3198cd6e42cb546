"""Posts alerts to one receiver until it takes them: one request at a time, with growing pauses after failures."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from exporters.alerts.deliveries.bodies import to_alertmanager, to_webhook
from exporters.alerts.deliveries.outbox import Outbox
from exporters.alerts.deliveries.receiver import Receiver
from exporters.alerts.state import Alert, Outcome

_MOST_AT_ONCE: Final = 500  # alerts in one request

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Counts:
    """What became of deliveries, since the exporter started. ``sent`` counts alerts, the others requests or alerts."""

    sent: int = 0
    failures: int = 0
    dropped: int = 0
    waiting: int = 0


class Sender:
    """Tells one receiver."""

    def __init__(self, receiver: Receiver, clock: Callable[[], float] = time.time) -> None:
        """``clock`` gives seconds of the epoch."""
        self.receiver = receiver
        self.counts = Counts()
        self._clock = clock
        self._outbox = Outbox(receiver.repeat_seconds, receiver.most_waiting)
        self._woken = asyncio.Event()
        self._idle = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._failing = False

    @property
    def name(self) -> str:
        """The receiver without user, password and query: for logs and labels."""
        parts = urlsplit(self.receiver.url)
        return f"{self.receiver.kind} {parts.scheme}://{parts.hostname}:{parts.port or ''}{parts.path}"

    def start(self) -> None:
        """Begin to deliver."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self, grace_seconds: float = 0.0) -> None:
        """End; what is due is tried once more for so long."""
        if self._task is None:
            return
        if self._outbox.due(time.monotonic()) and not self._failing:
            self._idle.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace_seconds):
                    await self._idle.wait()
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._task = None

    def tell(self, outcome: Outcome) -> None:
        """Take over an evaluation."""
        firing = [alert for alert in outcome.firing if self.receiver.wants(alert.severity)]
        resolved = [alert for alert in outcome.resolved if self.receiver.wants(alert.severity)]
        self._outbox.update(firing, resolved, time.monotonic())
        self._count()
        self._woken.set()

    async def _run(self) -> None:
        receiver = self.receiver
        wait = receiver.first_wait_seconds
        timeout = aiohttp.ClientTimeout(total=receiver.timeout_seconds)
        # A new connection each time: a receiver that was restarted must not cost the first attempt.
        connector = aiohttp.TCPConnector(ssl=_context(receiver), force_close=True)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector, headers=receiver.headers) as session:
            while True:
                await self._until_due()
                delivered = await self._deliver(session, self._outbox.due(time.monotonic())[:_MOST_AT_ONCE])
                if delivered:
                    wait = receiver.first_wait_seconds
                else:
                    await asyncio.sleep(wait)
                    wait = min(2 * wait, receiver.most_wait_seconds)

    async def _until_due(self) -> None:
        while not self._outbox.due(time.monotonic()):
            self._idle.set()
            self._woken.clear()
            due_at = self._outbox.next_due()
            pause = None if due_at is None else max(0.0, due_at - time.monotonic())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._woken.wait()

    async def _deliver(self, session: aiohttp.ClientSession, alerts: list[Alert]) -> bool:
        try:
            async with session.post(
                self.receiver.url, data=self._body(alerts), headers={"Content-Type": "application/json"}
            ) as response:
                if response.status >= 300:
                    return self._failed(f"HTTP {response.status} {response.reason}", alerts)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return self._failed(str(error) or type(error).__name__, alerts)
        self._outbox.delivered(alerts, time.monotonic())
        self.counts.sent += len(alerts)
        self._count()
        if self._failing:
            log.info("%s takes alerts again", self.name)
        self._failing = False
        return True

    def _failed(self, why: str, alerts: list[Alert]) -> bool:
        self.counts.failures += 1
        if not self._failing:
            log.warning("%s: %s; %d alerts wait, and are sent again until they arrive", self.name, why, len(alerts))
        self._failing = True
        self._idle.set()
        return False

    def _body(self, alerts: list[Alert]) -> bytes:
        if self.receiver.kind == "webhook":
            return to_webhook(alerts, "cgroup-exporter")
        return to_alertmanager(alerts, self._clock(), self.receiver.repeat_seconds)

    def _count(self) -> None:
        self.counts.waiting, self.counts.dropped = len(self._outbox), self._outbox.dropped


def _context(receiver: Receiver) -> ssl.SSLContext | bool:
    """Make the TLS side: the system's certificates, or those of a file."""
    return ssl.create_default_context(cafile=receiver.ca_file) if receiver.ca_file is not None else True
